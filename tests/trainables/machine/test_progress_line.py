"""The line that says how far something is: renewed in place on a terminal, printed now and then into a file."""

import io

from trainables.machine.progress_line import ProgressLine, clock_time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_gets_one_line_and_a_file_gets_few() -> None:
    for out, newlines in ((Terminal(), 1), (io.StringIO(), 3)):
        clock = Clock()
        line = ProgressLine(out, clock)
        for second in range(40):
            clock.now = float(second)
            line.show(lambda: "so far")
        line.show(lambda: "all", is_last=True)
        assert out.getvalue().count("\n") == newlines
        assert ("\r" in out.getvalue()) == out.isatty()
        assert out.getvalue().endswith("all\n")


def test_a_message_takes_the_place_of_the_line() -> None:
    out = Terminal()
    ProgressLine(out, Clock()).say("a node left")
    assert out.getvalue() == "\r\x1b[2Ka node left\n"


def test_a_closed_pipe_does_not_end_the_work() -> None:
    out = io.StringIO()
    line = ProgressLine(out, Clock())
    out.close()
    line.say("nobody listens")
    line.show(lambda: "nor here", is_last=True)


def test_clock_time() -> None:
    assert [clock_time(s) for s in (0, 59.6, 61, 3600, 36061)] == ["0:00", "1:00", "1:01", "1:00:00", "10:01:01"]
    assert [clock_time(s) for s in (359_000, 12_145_148)] == ["99:43:20", "140.6 days"]
