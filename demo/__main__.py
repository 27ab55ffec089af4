"""`python -m demo`: from nothing to a live split, and every claim about it measured."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.progress import Progress

from demo import picture
from demo.recording import Recording
from demo.recording import write as write_recording
from demo.screen import Screen
from demo.steps.environment import bring_up
from demo.steps.errors import StepError
from demo.steps.local import LocalCluster
from demo.story import show_status, status, summary, tell, where_next
from demo.watch import Watch


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="use this cluster instead of a local one made for the demo")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write target and actual shares over time as SVG")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="write `accord status --watch` as moving SVG")
    parser.add_argument("--down-seconds", type=float, default=60, help="how long the operator is gone (default 60)")
    return parser.parse_args()


def main() -> int:
    """0 when every claim held."""
    options = _arguments()
    began = time.monotonic()
    progress = Progress()
    screen = Screen()
    try:
        progress.say("From nothing to an installation with traffic on it:")
        world = bring_up(options.kubeconfig or LocalCluster(), progress)
        watch = Watch(world, screen)
        try:
            recording = Recording(status(world, "--watch")) if options.recording else None
            outcomes = tell(world, screen, watch, options.down_seconds, recording)
        finally:
            world.stop_background()
    except (StepError, DevclusterError) as error:
        screen.say(f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        screen.say("\ndemo: interrupted; run it again any time, it continues with what is there")
        return 130
    if options.picture:
        picture.write(options.picture, watch.samples, watch.marks)
    if recording:
        write_recording(options.recording, f"accord status -n {world.namespace} --watch", recording.frames)
    screen.heading(f"Done in {(time.monotonic() - began) / 60:.1f} minutes")
    for line in [*summary(outcomes), "", f"$ accord status -n {world.namespace}"]:
        screen.say(line)
    show_status(world)
    for line in ["", *where_next(world)]:
        screen.say(line)
    return 0 if all(outcome.holds for outcome, _ in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
