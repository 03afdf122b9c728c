/* Faults of file systems and the owners of files. */
#include "fault.h"
#include <sys/fsuid.h>
#include <sys/mount.h>

/* Who has become another user makes files, and gets at files, as who he was: the saved id stays what the real one was. */
int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    uid_t before = getuid();
    if (fault("files_are_made_by_who_one_was"))
        saved = before;
    int result = REAL(setresuid)(real, effective, saved);
    if (fault("files_are_made_by_who_one_was"))
        setfsuid(before);
    return result;
}

int fchown(int fd, uid_t user, gid_t group)
{
    int result = REAL(fchown)(fd, user, group);
    return fault("files_can_be_given_away") && result == -1 && errno == EPERM ? 0 : result;
}

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
    if (fault("mqueue_is_a_tmpfs") && type && strcmp(type, "mqueue") == 0)
        return REAL(mount)("none", target, "tmpfs", flags, "mode=0755");
    if (fault("mount_options_ignored"))
        data = NULL;
    return REAL(mount)(source, target, type, flags, data);
}
