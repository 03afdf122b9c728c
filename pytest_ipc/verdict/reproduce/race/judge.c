/* The results of a round, compared with the executions that are allowed. */
static const char *text_of(int n)
{
    if (s->slept[n])
        return "sleeps";
    if (s->state[n] == BEGUN)
        return "killed in the call";
    return s->state[n] == RETURNED ? (const char *)s->text[n] : "not called";
}

/* Number the identifiers that calls have returned in the order of the operations. */
static void rename_identifiers(void)
{
    char before[OPERATIONS][LONGEST];
    int count = 0;
    for (int n = 0; n < OPERATIONS; n++) {
        const char *text = text_of(n);
        if (!gives_identifier[n] || strspn(text, "0123456789") != strlen(text))
            continue;
        int place = 0;
        while (place < count && strcmp(before[place], text) != 0)
            place++;
        if (place == count)
            snprintf(before[count++], LONGEST, "%s", text);
        say(n, "identifier %d", place + 1);
    }
}

/* An execution fits if it has these results, and no call in it precedes one that had returned when it began. */
static int fits(int execution)
{
    for (int n = 0; n < OPERATIONS; n++)
        if (strcmp(outcomes[results[execution][n]], text_of(n)) != 0)
            return 0;
    long long latest = 0;
    for (int step = 0; step < STEPS && orders[execution][step] != 255; step++) {
        int n = orders[execution][step];
        int returned = s->state[n] == RETURNED && !s->slept[n];
        if (returned && s->end[n] < latest)
            return 0;
        if (s->begin[n] > latest)
            latest = s->begin[n];
    }
    return 1;
}

static void show(void)
{
    long long start = 0;
    for (int n = 0; n < OPERATIONS; n++)
        if (s->begin[n] && (!start || s->begin[n] < start))
            start = s->begin[n];
    printf("observed in round %d, in the order of the begins:\n", round_number);
    for (long long last = 0;;) {
        int next = -1;
        for (int n = 0; n < OPERATIONS; n++)
            if (s->begin[n] > last && (next < 0 || s->begin[n] < s->begin[next]))
                next = n;
        if (next < 0)
            break;
        last = s->begin[next];
        printf("  %-5s %s: %s, %.1f to ", worker_of[next], words[next], text_of(next), (last - start) / 1e3);
        if (s->end[next])
            printf("%.1f us\n", (s->end[next] - start) / 1e3);
        else
            printf("...\n");
    }
    /* The nearest of the allowed results. */
    int nearest = 0, least = OPERATIONS + 1;
    for (int execution = 0; execution < EXECUTIONS; execution++) {
        int differ = 0;
        for (int n = 0; n < OPERATIONS; n++)
            differ += strcmp(outcomes[results[execution][n]], text_of(n)) != 0;
        if (differ < least)
            least = differ, nearest = execution;
    }
    printf("expected: %s\n", expected);
    printf("that is, the results of one of %d sequential orders of the calls; in the nearest of them:\n", EXECUTIONS);
    if (!least)
        printf("  all results are the same, but a call precedes another that had returned when it began\n");
    for (int n = 0; n < OPERATIONS; n++)
        if (strcmp(outcomes[results[nearest][n]], text_of(n)) != 0)
            printf("  %-5s %s: %s\n", worker_of[n], words[n], outcomes[results[nearest][n]]);
}
