"""The picture of a command: what a terminal would show, and when."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

from demo.recording import Frame, Recording, Span, Terminal, draw
from demo.steps.cluster import wait_until

SVG = "{http://www.w3.org/2000/svg}"


def seen(*written: str) -> list[str]:
    terminal = Terminal()
    for text in written:
        terminal.feed(text)
    return ["".join(span.text for span in line) for line in terminal.shown()]


def test_lines_are_drawn_over() -> None:
    assert seen("one\r\ntwo\r\n", "\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2Knew\r\nlines\r\n\r\n") == ["new", "lines"]


def test_a_control_sequence_may_come_in_two_parts() -> None:
    assert seen("one\n\x1b[1", "A\r\x1b[2", "Ktwo") == ["two"]


def test_colours_are_classes_of_the_picture() -> None:
    terminal = Terminal()
    terminal.feed("\x1b[1;31mbad\x1b[0m then \x1b[32m██\x1b[0m")
    assert terminal.shown() == ((Span("bad", "b r"), Span(" then "), Span("██", "g")),)


def test_what_stays_is_drawn_once_and_what_comes_and_goes_has_its_times() -> None:
    stays, first, then = (Span("stays"),), (Span("<first>"),), (Span("then", "g"),)
    frames = [Frame(at, (stays, first if at < 4 else then)) for at in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    texts = ElementTree.fromstring(draw("watch", frames, every=1, speed=1)).findall(f"{SVG}text")
    _, *texts = texts
    assert ["".join(text.itertext()) for text in texts] == ["stays", "<first>", "then"]
    moves = [text.find(f"{SVG}animate") for text in texts]
    assert moves[0] is None
    # The first goes when the second comes, which is what a page shows that does not move.
    assert [move is not None and move.get("values") for move in moves[1:]] == ["1;0", "0;1"]
    assert [text.get("opacity") for text in texts] == [None, "0", None]


def test_a_command_is_seen_on_a_terminal_until_it_is_stopped() -> None:
    said = "import sys, time; print(sys.stdout.isatty(), flush=True); time.sleep(600)"
    recording = Recording([sys.executable, "-c", said])
    recording.start()
    try:
        wait_until("something is shown", lambda: recording.frames, 60, every=0.01)
    finally:
        recording.stop()
    assert recording.frames[0].lines == ((Span("True"),),)
