"""What the service does: it counts, obeys, and reloads."""

from __future__ import annotations

import os
import signal

import pytest

import pytest_ipc


def test_ready_service_has_created_everything(countd):
    program = countd.start()
    assert countd.pid_file.read_text() == f"{program.pid}\n"
    assert countd.leftovers() == ["pid", "control", "memory", "queue"]
    assert countd.counters()[:3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("amount", [1, 41, -3, 2**63 - 1])
def test_message_is_counted(countd, amount):
    program = countd.start()
    counters = countd.counters()
    countd.queue().send(f"errors {amount}".encode())
    program.wait_for(lambda: counters[2] == amount)
    assert counters[1] == 0


def test_messages_of_many_processes_are_counted(ipc, countd):
    program = countd.start()
    counters, queue = countd.counters(), countd.queue()

    def send():
        for _ in range(50):
            queue.send(b"hits 1")

    for child in [ipc.fork(send) for _ in range(4)]:
        child.result()
    program.wait_for(lambda: counters[1] == 200)


@pytest.mark.parametrize(
    "message", [b"", b"hits", b"hits x", b"misses 1", b"hits 1 1", b"\xff 1", b"hits 9223372036854775808"]
)
def test_invalid_message_is_rejected_and_the_service_goes_on(countd, message):
    program = countd.start()
    counters, queue = countd.counters(), countd.queue()
    queue.send(message)
    program.wait_for_output("^rejected ", stream="stderr")
    queue.send(b"hits 1")
    program.wait_for(lambda: counters[1] == 1)


def test_reset_sets_the_counters_to_zero(countd):
    program = countd.start()
    counters = countd.counters()
    countd.queue().send(b"hits 5")
    program.wait_for(lambda: counters[1] == 5)
    countd.command("reset\n")
    program.wait_for_output("^reset$")
    assert counters[1] == 0


def test_incomplete_command_waits_for_its_rest(countd):
    program = countd.start()
    countd.command("res")
    program.wait_blocked("poll")
    countd.command("et\nwhat\n")
    program.wait_for_output("^unknown command b'what'$", stream="stderr")
    assert "reset" in program.stdout


def test_service_waits_for_work_without_cpu_time(countd):
    """Also after a writer has closed the FIFO."""
    program = countd.start()
    countd.command("reset\n")
    program.wait_for_output("^reset$")
    program.wait_blocked("poll")
    observed = pytest_ipc.observe(int(countd.pid_file.read_text()))
    observed.wait_blocked("poll")
    assert observed.alive


def test_sighup_reloads_and_keeps_the_values(countd):
    program = countd.start()
    counters = countd.counters()
    countd.queue().send(b"errors 7")
    program.wait_for(lambda: counters[2] == 7)
    countd.config.write_text("errors\nlogins\n")
    program.signal(signal.SIGHUP)
    program.wait_for_output("^reloaded errors logins$")
    assert counters[:4].tolist() == [1, 7, 0, 0]


@pytest.mark.parametrize("text", [None, "", "hits hits", "\n".join(f"c{n}" for n in range(600))])
def test_invalid_configuration_keeps_the_old_one(countd, text):
    program = countd.start()
    counters, queue = countd.counters(), countd.queue()
    if text is None:
        countd.config.unlink()
    else:
        countd.config.write_text(text)
    program.signal(signal.SIGHUP)
    program.wait_for_output("^kept the configuration: ", stream="stderr")
    queue.send(b"hits 1")
    program.wait_for(lambda: counters[1] == 1)
    assert counters[0] == 0


def test_reload_opens_no_further_descriptor(countd):
    program = countd.start()
    program.wait_blocked("poll")
    before, counters = program.open_files(), countd.counters()
    for number in range(1, 30):
        program.signal(signal.SIGHUP)
        program.wait_for(lambda number=number: counters[0] == number)
    program.wait_blocked("poll")
    assert program.open_files() == before


def test_stopped_service_loses_no_message(countd):
    """Its queue holds eight; the ninth sender waits."""
    program = countd.start()
    counters, queue = countd.counters(), countd.queue()
    program.signal(signal.SIGSTOP)
    program.wait_state("T")
    for _ in range(queue.maxmsg):
        queue.send(b"hits 1")
    with pytest.raises(TimeoutError):
        queue.send(b"hits 1", timeout=0.05)
    program.signal(signal.SIGCONT)
    program.wait_for(lambda: counters[1] == queue.maxmsg)


def test_command_without_a_service_is_an_error(countd):
    os.mkfifo(countd.fifo)
    with pytest.raises(OSError, match="No such device or address"):
        countd.command("reset\n")
