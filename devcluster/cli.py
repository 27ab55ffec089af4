"""The commands."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from devcluster import (
    archive,
    cluster,
    commands,
    components,
    csibuild,
    health,
    imagebuild,
    imagelist,
    paths,
    preflight,
    programs,
    snapshots,
)
from devcluster.controlplane import ControlPlane
from devcluster.errors import DevclusterError, MachineError
from devcluster.progress import Progress

LOG_LINES = 200


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it worked."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except DevclusterError as problem:
        print(f"devcluster: {problem}", file=sys.stderr)
        if isinstance(problem, MachineError):
            print(preflight.OWN_CLUSTER, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndevcluster: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130


def _up(options: argparse.Namespace) -> None:
    if options.control_plane:
        _up_control_plane(options.snapshot_crds)
    else:
        cluster.up(Progress())


def _up_control_plane(snapshot_crds: bool) -> None:
    progress = Progress()
    with ControlPlane() as started:
        if snapshot_crds:
            snapshots.install(started.kubectl)
        progress.total(f"The control plane is up: {started.kubeconfig}")
        print("It lives as long as this command; end it with Ctrl-C.", flush=True)
        try:
            started.wait()
        except KeyboardInterrupt:
            print()


def _down(_: argparse.Namespace) -> None:
    cluster.down(Progress())


def _status(_: argparse.Namespace) -> int:
    for name, state in health.component_states().items():
        ended = f"  {state['restarts']} restarts, last {state['lastEnd']}" if state["restarts"] else ""
        print(f"  {name:<26} {'running' if state['running'] else 'down'}{ended}")
    problems = health.problems()
    for problem in problems:
        print(f"  ! {problem}")
    if not problems:
        print(f"  healthy; kubeconfig: {components.admin_kubeconfig(paths.state_dir())}")
    return 1 if problems else 0


def _kubeconfig(_: argparse.Namespace) -> None:
    health.node_process()  # the file of a cluster that was killed is still there
    print(components.admin_kubeconfig(paths.state_dir()))


def _kubectl(options: argparse.Namespace) -> None:
    health.node_process()
    kubeconfig = components.admin_kubeconfig(paths.state_dir())
    program = str(programs.path("kubectl"))
    sys.stdout.flush()
    os.execv(program, [program, f"--kubeconfig={kubeconfig}", *_passed_on(options)])


def _load(options: argparse.Namespace) -> None:
    progress = Progress()
    for name in options.image:
        with progress.stage(f"load {name}"):
            imagebuild.load(name)


def _logs(options: argparse.Namespace) -> None:
    folder = paths.state_dir() / "logs"
    file = paths.state_dir() / "node.log" if options.component == "node" else folder / f"{options.component}.log"
    if not file.exists():
        known = sorted(path.stem for path in folder.glob("*.log")) if folder.exists() else []
        raise DevclusterError(f"there is no log of {options.component}; there is: {', '.join(['node', *known])}")
    tail = commands.find("tail") or "tail"
    sys.stdout.flush()
    os.execv(tail, [tail, f"--lines={LOG_LINES}", *(["--follow"] if options.follow else []), str(file)])


def _build(_: argparse.Namespace) -> None:
    progress = Progress()
    preflight.install(preflight.RUNC_BUILD if programs.missing(["runc"]) else ())
    programs.ensure(programs.EVERYTHING, progress)
    csibuild.ensure(progress)
    progress.total("All programs are built")


def _program_path(options: argparse.Namespace) -> None:
    programs.ensure([options.program], Progress(sys.stderr))
    print(programs.path(options.program))


def _enter(options: argparse.Namespace) -> None:
    pid = health.node_process()
    program = commands.find("nsenter") or "nsenter"
    command = _passed_on(options) or ["/bin/sh"]
    sys.stdout.flush()
    os.execv(
        program,
        [program, f"--target={pid}", "--net", "--mount", f"--pid=/proc/{pid}/ns/pid_for_children", "--", *command],
    )


def _passed_on(options: argparse.Namespace) -> list[str]:
    given: list[str] = options.arguments
    return given[1:] if given[:1] == ["--"] else given


def _image_base(_: argparse.Namespace) -> None:
    progress = Progress()
    with progress.stage("base image"):
        name = imagebuild.base_image()
    progress.total(name)


def _image_pause(_: argparse.Namespace) -> None:
    print(archive.pause_image())


def _image_prune(_: argparse.Namespace) -> None:
    with Progress().stage("forget all built images"):
        imagebuild.prune()


def _images(_: argparse.Namespace) -> None:
    print(imagelist.table(imagelist.images()))


def _images_rm(options: argparse.Namespace) -> None:
    imagelist.remove(options.image)
    for name in options.image:
        print(f"removed {name}")


def _image_build(options: argparse.Namespace) -> None:
    context = Path(options.context).resolve()
    dockerfile = Path(options.file).resolve() if options.file else context / "Dockerfile"
    arguments = dict(pair.split("=", 1) for pair in options.build_arg)
    progress = Progress()
    packages = (*imagebuild.BASE_PACKAGES, *options.base_package)
    with progress.stage(f"image {options.tag}"):
        target, built = imagebuild.build(options.tag, dockerfile, context, arguments, packages)
    print(f"  {'built' if built else 'unchanged'}: {target}")
    if options.load:
        _load(argparse.Namespace(image=[str(target)]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m devcluster", description="A real Kubernetes on this machine.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    up = verb("up", _up, "start the cluster, whatever is left of an earlier one; a second when it runs already")
    up.add_argument("--control-plane", action="store_true", help="API server and controllers only, in the foreground")
    up.add_argument("--snapshot-crds", action="store_true", help="there, with the kinds of VolumeSnapshots")
    verb("down", _down, "remove the cluster and every trace of it")
    verb("status", _status, "what runs and what is wrong")
    verb("kubeconfig", _kubeconfig, "print the path of the kubeconfig")
    kubectl = verb("kubectl", _kubectl, "kubectl with that kubeconfig")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    load = verb("load", _load, "load images built here, or archives, into the cluster")
    load.add_argument("image", nargs="+", metavar="IMAGE|ARCHIVE")
    logs = verb("logs", _logs, "the log of a component, or of the node's first process: node")
    logs.add_argument("component")
    logs.add_argument("-f", "--follow", action="store_true")
    verb("build", _build, "only build the programs")
    program = verb("program", _program_path, "build one program and print its path, for example helm")
    program.add_argument("program", choices=programs.EVERYTHING)
    enter = verb("enter", _enter, "run a command, or a shell, in the node's namespaces")
    enter.add_argument("arguments", nargs=argparse.REMAINDER)

    images = verb("images", _images, "list images: built here, and in the cluster")
    changes = images.add_subparsers(metavar="COMMAND")
    rm = changes.add_parser("rm", help="remove images from the cluster and from the cache")
    rm.add_argument("image", nargs="+", metavar="IMAGE")
    rm.set_defaults(run=_images_rm)

    image = verbs.add_parser("image", help="build images without a container engine")
    kinds = image.add_subparsers(required=True, metavar="COMMAND")
    base = kinds.add_parser("base", help="minimal Debian with Python")
    base.set_defaults(run=_image_base)
    pause = kinds.add_parser("pause", help="the image that holds a pod's network")
    pause.set_defaults(run=_image_pause)
    prune = kinds.add_parser("prune", help="remove all built images from the cache")
    prune.set_defaults(run=_image_prune)
    build = kinds.add_parser("build", help="build from a Dockerfile")
    build.add_argument("context")
    build.add_argument("-f", "--file")
    build.add_argument("-t", "--tag", required=True)
    build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    build.add_argument("--base-package", action="append", default=[], help="a Debian package more in the base image")
    build.add_argument("--load", action="store_true", help="load it into the cluster as well")
    build.set_defaults(run=_image_build)
    return parser
