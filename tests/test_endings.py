"""How commands end: 0 only with their outputs written, signals with one line and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

SYMMCD = [sys.executable, "-m", "symmcd"]
DOWNLOAD = ["download", "--output", "raw", "--set", "data.source=prototypes", "--set", "data.limit=20"]
MADE = ["source.json", "test.csv.gz", "train.csv.gz", "val.csv.gz"]

# A stage in place of `show`: it writes a file, with a body of each test's own.
STAGE = """\
import os, signal, sys, time, types
from pathlib import Path
from symmcd import cli
from symmcd.writing import atomic_path

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children

def run(results):
    with atomic_path(Path("out.csv")) as temporary:
        temporary.write_text("half")
{body}

module = types.ModuleType("symmcd.stages.show")
module.run, module.EXAMPLE = run, ""
module.arguments = lambda parser: parser.add_argument("results")
import symmcd.stages
symmcd.stages.show = sys.modules["symmcd.stages.show"] = module
sys.exit(cli.main(["show", "results"]))
"""


def stage(body: str) -> list[str]:
    return [sys.executable, "-c", STAGE.format(body=textwrap.indent(textwrap.dedent(body), 8 * " "))]


def shell(command: str, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("streams", ["| true", ">&-", "2>&-", ">&- 2>&- <&-", "2>&1 | true", "2>/dev/full"])
def test_a_stage_finishes_though_nobody_listens(tmp_path, streams):
    done = shell(f'{" ".join([*SYMMCD, *DOWNLOAD])} {streams}; echo "${{PIPESTATUS[0]}}" > status', tmp_path)
    assert (tmp_path / "status").read_text() == "0\n"
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == MADE
    assert done.stderr == ""


def test_a_full_disk_under_standard_output_is_an_error(tmp_path):
    done = shell(f"{' '.join([*SYMMCD, *DOWNLOAD])} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("symmcd download: standard output: disk full")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["settings"], ["--help"], ["train", "--help"], ["--version"]])
def test_who_reads_only_the_beginning_sees_no_error(tmp_path, words):
    done = shell(f'(sleep 0.1; exec {" ".join([*SYMMCD, *words])}) | true; echo "${{PIPESTATUS[0]}}"', tmp_path)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_broken_pipe_of_a_worker_is_no_success(tmp_path):
    done = subprocess.run(
        stage("raise BrokenPipeError(32, 'of a worker')"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("raise OSError(28, 'No space left on device')", "out.csv: disk full while writing it; make room and"),
        ("raise OSError(122, 'Disk quota exceeded', 'other.csv')", "out.csv: quota of the disk used up"),
        ("raise PermissionError(13, 'Permission denied', str(temporary))", "out.csv: cannot write here"),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, body, line):
    done = subprocess.run(stage(body), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"symmcd show: {line}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "body",
    [
        "print('ready', flush=True); time.sleep(60)",
        "print('ready', flush=True)\nwhile True: pass",
        "import subprocess; subprocess.run(['sh', '-c', 'echo ready; exec sleep 60'])",
        """
        class Slow:  # exceptions are dropped where Python calls a destructor
            def __del__(self):
                print('ready', flush=True)
                time.sleep(3)
        Slow()
        time.sleep(60)
        """,
    ],
    ids=["sleeps", "computes", "waits for a child", "in a destructor"],
)
def test_signals_end_with_a_line_and_nothing_left(tmp_path, number, body):
    with subprocess.Popen(
        stage(body),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # nohup, which tests may run under, ignores it
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  (no threads here)
    ) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        os.killpg(process.pid, number)
        try:
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert error == f"symmcd show: {'interrupted' if number == signal.SIGINT else f'ended by {number.name}'}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_does_not_disturb_the_first(tmp_path):
    body = """
    try:
        print('ready', flush=True)
        time.sleep(60)
    finally:
        print('tidying up', flush=True)
        time.sleep(1)
        Path('tidy').touch()
    """
    with subprocess.Popen(
        stage(body), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        time.sleep(0.2)  # `print` may not have returned yet
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "tidying up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert [p.name for p in tmp_path.iterdir()] == ["tidy"]


def test_nohup_is_respected(tmp_path):
    body = "print('ready', flush=True); time.sleep(1)"
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *stage(body)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "out.csv").read_text() == "half"


def test_sigterm_while_torch_is_imported(tmp_path):
    words = [*SYMMCD, "sample", "none.safetensors", "--output", "out.npz", "--device", "cpu"]
    for delay in (0.4, 0.9):
        with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(delay)
            process.terminate()
            _, error = process.communicate(timeout=60)
        assert (process.returncode, error) in ((143, "symmcd sample: ended by SIGTERM\n"), (2, error))


def test_signals_and_streams_of_a_caller_are_as_before(tmp_path):
    script = """
    import signal, sys
    from symmcd import cli
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)], sys.stdout, sys.stderr, sys.unraisablehook
    assert cli.main(["settings", "hull"]) == 0
    assert cli.main(["show", "none"]) == 2
    now = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)], sys.stdout, sys.stderr, sys.unraisablehook
    assert now == before
    print("and on")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("and on\n")
