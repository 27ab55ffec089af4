"""`accord backtest`: what it reads, what it prints, and what it says of input that cannot be used."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from tests.unit.checkpoint.detection.trainer import Trainer

from accord.adapters.prometheus.endpoint import PrometheusEndpoint
from accord.cli import main
from accord.domain.samples import Answer, Shape

POLICY = {
    "apiVersion": "accord.dev/v1alpha1",
    "kind": "CheckpointPolicy",
    "metadata": {"name": "p", "namespace": "ns"},
    "spec": {"trainingRunRef": {"name": "r"}},
}
RUN = {
    "apiVersion": "accord.dev/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "r", "namespace": "ns"},
    "spec": {
        "template": {"spec": {"containers": [{"name": "trainer", "image": "x"}]}},
        "checkpoints": {"saveFrequency": 200},
    },
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(POLICY))
    return path


def recorded(steps: int = 4000, fault: int | None = 3000) -> str:
    chance = random.Random(1)
    lines = ["step,loss,reward"]
    for step in range(1, steps + 1):
        level = 8 if fault is None or step < fault else 2
        lines.append(f"{step},{0.5 + chance.gauss(0, 0.05):.4f},{level + chance.gauss(0, 0.5):.4f}")
    return "\n".join(lines) + "\n"


def episodes(bad: int) -> str:
    """A row an episode; so many of them are bad after the hundredth."""
    chance = random.Random(1)
    levels = [8] * 100 + [2] * bad + [8] * (60 - bad)
    rows = [f"{40 * number},{level + chance.gauss(0, 0.5):.4f}" for number, level in enumerate(levels, start=1)]
    return "\n".join(["step,reward", *rows]) + "\n"


def styles(picture: Path) -> set[str | None]:
    return {each.get("class") for each in ElementTree.parse(picture).getroot().iter()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.csv"
    path.write_text(recorded())
    return path


def test_json_is_what_programs_read(policy: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "-f", str(policy), "--csv", str(run), "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    found = json.loads(printed.out)
    assert set(found) == {"checks", "rollbacks", "pauses"}
    # One each 15 s at ten steps a second, and one at the end.
    assert found["checks"] == 28
    [rollback] = found["rollbacks"]
    assert list(rollback) == ["step", "signal", "target", "baseline", "recent", "limit", "share", "message"]
    assert (rollback["step"], rollback["signal"], rollback["target"]) == (3150, "RewardDrop", 2500)
    assert rollback["baseline"] == pytest.approx(8, abs=0.2)
    assert rollback["recent"] < rollback["limit"] == pytest.approx(4, abs=0.2)
    assert main(["backtest", "-f", str(policy), "--csv", str(run), "--json", "--every", "10"]) == 0
    often = json.loads(capsys.readouterr().out)
    assert often["checks"] == 401
    assert 3000 < often["rollbacks"][0]["step"] <= 3100


def test_the_table_and_the_picture(policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "run.svg"
    assert main(["backtest", "-f", str(policy), "--csv", str(run), "--plot", str(picture)]) == 0
    head, columns, line = capsys.readouterr().out.splitlines()
    assert head.startswith("CheckpointPolicy ns/p, method Adaptive, sensitivity Medium: 28 checks, ")
    assert columns.split() == ["STEP", "SIGNAL", "TARGET", "BASELINE", "RECENT", "LIMIT", "RULE"]
    assert line.endswith("Adaptive on reward by steps")
    text = "".join(ElementTree.parse(picture).getroot().itertext())
    assert "Reward: rolled back at 3,150 to 2,500" in text
    assert "Loss: no reason to roll back" in text
    assert {"reported", "newest", "before", "limit", "band", "unsure", "rollback", "elsewhere"} <= styles(picture)
    run.write_text(recorded(fault=None))
    assert main(["backtest", "-f", str(policy), "--csv", str(run)]) == 0
    assert "never rolled back" in capsys.readouterr().out


def test_when_promotion_would_have_been_paused_and_why(
    policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nine episodes of 40 steps that are bad: too few to roll back.
    run.write_text(episodes(bad=9))
    picture = tmp_path / "run.svg"
    command = ["backtest", "-f", str(policy), "--csv", str(run)]
    assert main([*command, "--plot", str(picture)]) == 0
    head, end, empty, sentence, columns, line = capsys.readouterr().out.splitlines()
    assert head.endswith("never rolled back.")
    assert end.startswith("Last check: Pass, reward 8")
    assert (empty, sentence) == ("", "Promotion would have been paused once:")
    assert columns.split() == ["FROM", "UNTIL", "SIGNAL", "REASON"]
    begin, until, signal, because = re.split(" {3,}", line)
    assert 4000 < int(begin) <= 4400 < int(until) <= 5000
    assert (signal, because.split()[0]) == ("RewardDrop", "reward")
    assert "suspect" in styles(picture)
    assert main([*command, "--json"]) == 0
    [pause] = json.loads(capsys.readouterr().out)["pauses"]
    assert pause == {
        "from": int(begin),
        "until": int(until),
        "signal": "RewardDrop",
        "rolledBack": False,
        "message": because,
    }


def test_a_rollback_ends_a_pause_and_a_policy_that_only_watches_keeps_it(
    policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write_text(episodes(bad=60))
    command, picture = ["backtest", "-f", str(policy), "--csv", str(run)], tmp_path / "run.svg"
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    step = printed[2].split()[0]
    assert re.split(" {3,}", printed[-1])[1] == f"{step} (rolled back)"
    policy.write_text(yaml.safe_dump({**POLICY, "spec": {**POLICY["spec"], "rollback": {"enabled": False}}}))  # type: ignore[dict-item]
    assert main([*command, "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.split(" {3,}", printed[-1])[1] == "the end"
    assert {"suspect", "fail"} <= styles(picture)
    assert "rollback" not in styles(picture)


def test_a_run_that_is_too_short_says_what_it_lacks(
    policy: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write_text("step,loss,reward\n0,1,1\n10,1,1\n20,2,3\n")
    assert main(["backtest", "-f", str(policy), "--csv", str(run)]) == 0
    assert "Too short to judge: reward has 30 of 1100 steps; loss has 30 of 1100 steps.\n" in capsys.readouterr().out


def test_checks_and_cooldown_go_by_the_times_of_a_csv_unless_a_speed_is_given(
    policy: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Two steps a second, after a pause of a day.
    lines = [f"{step},{86_400 + step / 2},{1 + step % 7 / 10}" for step in range(3001)]
    run.write_text("\n".join(["step,time,loss", *lines]) + "\n")

    def checks(*options: str) -> int:
        assert main(["backtest", "-f", str(policy), "--csv", str(run), "--json", *options]) == 0
        return int(json.loads(capsys.readouterr().out)["checks"])

    assert checks() == 101
    assert checks("--speed", "10") == 21
    assert checks("--every", "100") == 31
    run.write_text("step,time,loss\n1,1,1\n2,,1\n")
    assert main(["backtest", "-f", str(policy), "--csv", str(run)]) == 2
    assert "line 3, column time: '' must be a time in seconds" in capsys.readouterr().err


def test_a_finite_number_or_null_for_what_is_not_finite(
    policy: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write_text("step,loss\n1,1\n2,nan\n")
    assert main(["backtest", "-f", str(policy), "--csv", str(run), "--json", "--every", "1"]) == 0
    [rollback] = json.loads(capsys.readouterr().out)["rollbacks"]
    figures = dict.fromkeys(("baseline", "recent", "limit", "share"))
    told = "the trainer reports a loss that is not a finite number"
    assert rollback == {"step": 2, "signal": "NonFinite", "target": None, **figures, "message": told}


def test_checkpoints_are_saved_as_the_run_says_unless_an_option_does(
    policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both, other = tmp_path / "both.yaml", tmp_path / "training.yaml"
    both.write_text(yaml.safe_dump_all([RUN, POLICY]))
    other.write_text(yaml.safe_dump(RUN))
    together, apart = ["-f", str(both)], ["-f", str(policy), "-f", str(other)]
    for files, target in ((together, 2800), (apart, 2800), ([*together, "--save-frequency", "700"], 2100)):
        main(["backtest", *files, "--csv", str(run), "--json"])
        assert json.loads(capsys.readouterr().out)["rollbacks"][0]["target"] == target


def test_the_ratio_rule_comes_with_a_warning(
    policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {**POLICY["spec"], "detection": {"method": "Ratio"}, "rollback": {"enabled": False}}  # type: ignore[dict-item]
    policy.write_text(yaml.safe_dump({**POLICY, "spec": spec}))
    packed = tmp_path / "run.csv.gz"
    packed.write_bytes(gzip.compress(run.read_bytes()))
    assert main(["backtest", "-f", str(policy), "--csv", str(packed)]) == 0
    told = capsys.readouterr().err
    assert "expect rollbacks of healthy trainings" in told
    assert "nothing would be rolled back" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: unknown header"),
        ("a,b\n1,2\n", "line 1: unknown header"),
        ("step,loss,loss\n1,2,3\n", "line 1: duplicate column loss"),
        ("step,loss\n", "no rows"),
        ("step,loss\n1,2\n2,x\n", "line 3, column loss: 'x' must be a number"),
        ("step,reward\n1.5,2\n", "line 2, column step: '1.5' must be a whole number"),
        ("step,reward\n,2\n", "line 2, column step: '' must be a whole number"),
        ("step,reward\nnan,2\n", "line 2, column step: 'nan' must be a whole number"),
        ("step,loss,reward\n1,2\n", "line 2: 2 fields, but line 1 has 3 columns"),
        ("#{}\nr,l,t\n1,2,3\n1,x,3\n", "line 4, column l: 'x' must be a number"),
        ("#{}\nr,l,t\n1,2\n", "line 3: 2 fields, but line 2 has 3 columns"),
        ("#{}\n", "line 2: unknown header"),
        (
            "time/total_timesteps,rollout/ep_rew_mean\n1,\n1.5,\n",
            "line 3, column time/total_timesteps: '1.5' must be a",
        ),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_with_the_place(
    text: str, told: str, policy: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.write_text(text)
    assert main(["backtest", "-f", str(policy), "--csv", str(run)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"accord backtest: {run}: {told}" in printed.err


def test_files_that_cannot_be_used(policy: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: object, code: int = 2) -> str:
        assert main(["backtest", *map(str, arguments)]) == code
        return capsys.readouterr().err

    assert "cannot read: No such file" in told("-f", policy, "--csv", tmp_path / "none.csv")
    run.write_bytes(b"\xff\xfe\xff")
    assert "invalid UTF-8" in told("-f", policy, "--csv", run)
    run.write_bytes(gzip.compress(b"step,loss\n1,1\n")[:-4])
    assert "truncated" in told("-f", policy, "--csv", run)
    run.write_text("step,loss\n1,\n")
    assert "no loss and no reward to draw" in told("-f", policy, "--csv", run, "--plot", tmp_path / "x.svg")
    run.write_text(recorded(10))
    assert "cannot write" in told("-f", policy, "--csv", run, "--plot", tmp_path / "none" / "x.svg", code=3)
    assert "--range and --end can only be used with --prometheus" in told("-f", policy, "--csv", run, "--range", "1h")
    policy.write_text(yaml.safe_dump(RUN))
    assert "no CheckpointPolicy found" in told("-f", policy, "--csv", run)
    other = {**POLICY, "metadata": {"name": "q", "namespace": "ns"}}
    policy.write_text(yaml.safe_dump_all([POLICY, other]))
    assert "more than one CheckpointPolicy (p, q)" in told("-f", policy, "--csv", run)
    assert "named z" in told("-f", policy, "--csv", run, "--name", "z")
    policy.write_text(yaml.safe_dump({**POLICY, "spec": {}}))
    assert "document 1, CheckpointPolicy p: spec: " in told("-f", policy, "--csv", run)


@pytest.mark.parametrize("option", [("--plot", "x.png"), ("--every", "0"), ("--speed", "0"), ("--speed", "inf")])
def test_options_that_make_no_sense(option: tuple[str, str], policy: Path, run: Path) -> None:
    with pytest.raises(SystemExit):
        main(["backtest", "-f", str(policy), "--csv", str(run), *option])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Prometheus that has scraped two pods, the second one from a restart on."""
    questions: list[str] = []
    first = Trainer().scrape(40)
    first.reward = 2
    first.scrape(10)
    second = Trainer(pod="r-2-fghij", at=first.at).restart(4500).scrape(40)

    def query(_: PrometheusEndpoint, promql: str, shape: Shape) -> Answer:
        questions.append(promql)
        assert shape == "matrix"
        return Answer(failure="Timeout", message="no answer") if "[9h]" in promql else Answer(series=series)

    series = first.series() + second.series()
    monkeypatch.setattr(PrometheusEndpoint, "query", query)
    yield questions
    series = ()


def test_a_run_in_prometheus_is_replayed_attempt_by_attempt(
    asked: list[str], policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["backtest", "-f", str(policy), "--prometheus", "http://x", "--json"]
    assert main([*arguments, "--range", "2h", "--end", "2026-05-01T13:00:00Z"]) == 0
    [rollback] = json.loads(capsys.readouterr().out)["rollbacks"]
    assert rollback["signal"] == "RewardDrop"
    # The trainer of the test updates and saves every 450 steps; the drop begins after step 6,000. Five good episodes
    # since the update at 5,850 do not clear it.
    assert rollback["target"] == 5400
    assert asked[0].endswith('namespace="ns",pod=~"r-[0-9]+-[a-z0-9]+(-head-[a-z0-9]+)?"}[2h] @ 1777640400.000')
    for range_, told, code in (("9h", "no answer", 3), ("soon", "--range", 2), (None, "--range", 2)):
        assert main([*arguments, *(["--range", range_] if range_ else [])]) == code
        assert told in capsys.readouterr().err
    assert main([*arguments, "--range", "2h", "--end", "noon"]) == 2
    assert "--end noon: not a time" in capsys.readouterr().err


def test_a_signal_that_is_enabled_has_a_panel_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, picture, named = tmp_path / "run.csv", tmp_path / "run.svg", tmp_path / "policy.yaml"
    rows = ["step,loss,reward,approx_kl,explained_variance"]
    for update in range(1, 41):
        rows += [f"{500 * update - number},,{20 + number}" + ",," for number in range(4, 0, -1)]
        rows.append(f"{500 * update},1.5,,{0.01 if update < 30 else 0.4},0.{80 + update % 7}")
    run.write_text("\n".join(rows) + "\n")
    titles = []
    for detection in ({}, {"klSpike": {"enabled": True}}):
        named.write_text(yaml.safe_dump({**POLICY, "spec": {**POLICY["spec"], "detection": detection}}))
        assert main(["backtest", "-f", str(named), "--csv", str(run), "--plot", str(picture)]) == 0
        found = ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")
        titles.append([str(each.text) for each in found if each.get("class") == "title"])
    reasons = ["Reward: no reason to roll back", "Loss: no reason to roll back"]
    assert titles == [reasons, [*reasons, "Approximate KL: no reason to roll back"]]
    out = capsys.readouterr().out
    assert "never rolled back" in out
    assert "KLSpike" in out
