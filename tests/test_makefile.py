"""`make run` installs missing packages once, and again after a change of its inputs.

The test folder has a fake Python and npm that install nothing and record their arguments.
"""

import os
import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
echo "$*${HEADRACE_TEST_DATABASE:+; database: $HEADRACE_TEST_DATABASE}${HEADRACE_PACKS+; packs: }" >> told
case "$*" in
    *--numprocesses*) exit ${BESIDE:-0} ;;
    *--last-failed*) exit ${ALONE:-0} ;;
esac
"""
PIP = "-m pip install --quiet --disable-pip-version-check -r"
SERVE = "workflow_server.py"
NODE = """#!/bin/sh
exit ${OLD_NODE:-0}
"""
NPM = """#!/bin/sh
echo "npm $*" >> ../told
[ "$1" = "$NPM_FAILS" ] && { echo "npm says why" >&2; exit 1; }
case $1 in
    ci) rm -rf node_modules && mkdir node_modules ;;
    run) mkdir node_modules/.dist && echo new > node_modules/.dist/index.html ;;
esac
"""
CI = "npm ci --no-audit --no-fund --loglevel=error"
BUILD = "npm run build -- --outDir node_modules/.dist --emptyOutDir --logLevel warn"


@pytest.fixture
def folder(tmp_path):
    """A folder with an empty `.venv`."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for path in (*ROOT.glob("packs/*/requirements.txt"), *ROOT.glob("tests/*.txt"), ROOT / "requirements.txt"):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    download = tmp_path / "tools" / "published" / "download_npm.py"
    download.parent.mkdir(parents=True)
    download.touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    put(python.with_name("uv"), '#!/bin/sh\necho "uv $*" >> told\nexit ${UV:-0}\n')
    return tmp_path


@pytest.fixture
def make(folder):
    """`make("run", …)` returns the arguments of Python, line by line."""

    def run(*args, fails=False, **settings):
        (folder / "told").unlink(missing_ok=True)
        unset = (
            "HEADRACE_TEST_DATABASE",
            "EXTRAS",
            "EXAMPLES",
            "MAKEFLAGS",
            "MAKELEVEL",
            "WEB",
            "HEADRACE_WEB",
            "HEADRACE_PACKS",
        )
        env = {key: value for key, value in os.environ.items() if key not in unset}
        env |= {"PATH": f"{folder / 'machine'}:{env['PATH']}", **settings}
        done = subprocess.run(["make", *args], cwd=folder, env=env, text=True, capture_output=True, timeout=60)
        run.said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, run.said
        told = folder / "told"
        return told.read_text().splitlines() if told.exists() else []

    return run


def change(path):
    """Set the file's modification time to later than all work so far."""
    later = time.time() + 5
    os.utime(path, (later, later))


def test_a_server_without_extras_installs_none(make):
    assert make("run") == [f"{PIP} requirements.txt", SERVE]
    assert make("run") == [SERVE]


def test_extras_are_installed_once_before_the_server_starts(make):
    lines = [f"{PIP} packs/agents/requirements.txt", f"{PIP} packs/mcp/requirements.txt", SERVE]
    assert make("run", "EXTRAS=agents mcp") == [f"{PIP} requirements.txt", *lines]
    assert make("run", "EXTRAS=agents mcp") == [SERVE]


def test_an_extra_can_be_added_later(make):
    make("run", "EXTRAS=mcp")
    assert make("run", "EXTRAS=agents") == [f"{PIP} packs/agents/requirements.txt", SERVE]


def test_installed_extras_follow_their_file_without_being_named_again(make, folder):
    make("run", "EXTRAS=agents mcp")
    change(folder / "packs/agents/requirements.txt")
    assert make("run") == [f"{PIP} packs/agents/requirements.txt", SERVE]


def test_a_removed_extra_does_not_prevent_a_start(make, folder):
    make("run", "EXTRAS=mqtt")
    (folder / "packs/mqtt/requirements.txt").unlink()
    assert make("run") == [SERVE]


def test_an_unknown_extra_is_named_and_nothing_starts(make):
    assert SERVE not in make("run", "EXTRAS=agent", fails=True)
    assert "There is no extra agent. Available extras: agents celery formats mcp" in make.said


# The tests


def test_packages_for_development_are_installed_by_uv(make):
    by_pip, by_uv, tests = make("test")
    assert by_pip == f"{PIP} tests/uv.txt" and tests.startswith("-m pytest")
    assert by_uv.startswith("uv pip install --quiet --python .venv/bin/python --compile-bytecode")
    assert by_uv.endswith("--require-hashes -r tests/requirements.txt")


def test_packages_for_development_are_installed_by_pip_if_uv_fails(make):
    assert make("test", UV="1")[2] == f"{PIP} tests/requirements.txt"


def ends(line):
    """Return whether a line repeats failed tests, whether in parallel, and the last part of the tests that it names."""
    words = line.partition(";")[0].partition(" --hypothesis-profile")[0].split()
    return "--last-failed" in line, "--numprocesses" in line, words[-1]


def test_short_tests_run_in_one_part_without_slow_ones(make):
    (line,) = make("test")[2:]
    assert ends(line)[:2] == (False, True)
    assert "-m not slow --hypothesis-profile quick" in line
    assert "--ignore=tests/faults --ignore=tests/clients --ignore=tests/browser" in line


def test_all_tests_run_in_parts_and_some_on_postgres_too(make):
    short, needy, core, on_postgres, last = make("test-all")[2:]
    assert [ends(line)[:2] for line in (short, needy, core, on_postgres, last)] == [(False, True)] * 5
    assert "-rs" in last.split(), "what is skipped, such as tests in a browser, is said last"
    assert "slow" not in short + last
    assert [on_postgres] == make("test-postgres")
    assert [core] == make("test-core")


def test_the_core_is_tested_without_packs_and_the_rest_of_its_tests_with_them(make):
    short, needy, core = make("test-all")[2:5]
    parts = [word for word in core.split() if word.startswith("tests/")]
    assert "-m not slow" in core and core.endswith("; packs: ") and "-m slow or pack" in needy
    assert all((ROOT / part).exists() and part in needy.split() and f"--ignore={part}" in short for part in parts)


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_a_fifth_of_the_examples_is_tried_unless_all_are_asked_for(make, target):
    assert all("--hypothesis-profile quick" in line for line in make(target)[2:])
    assert all("--hypothesis-profile full" in line for line in make(target, "EXAMPLES=full")[2:])


def test_suites_run_on_postgres(make):
    (line,) = make("test-postgres")[2:]
    assert line.endswith("--hypothesis-profile quick; database: postgres")
    assert "-m not slow or postgres" in line and "--ignore=tests/api/test_schemathesis.py" in line
    named = [word.removeprefix("--ignore=") for word in line.split() if "tests/" in word]
    assert "tests/dispatch" in named and all((ROOT / path).exists() for path in named)
    assert "--ignore=tests/packs/mcp" in line
    assert "--ignore=tests/packs/mcp" not in make("test-postgres", "EXAMPLES=full")[-1]


def test_machines_make_no_networks_beside_browsers(make):
    *_, on_postgres, long = make("test-all")[2:]
    words = long.split()
    assert "tests/browser" in words and "--ignore=tests/faults/test_machines.py" in words
    assert "tests/faults/test_machines.py" in on_postgres.split() and "tests/browser" not in on_postgres


def test_tests_on_postgres_can_be_selected(make):
    assert make("test-postgres", "ARGS=tests/faults -k kills")[2:] == [
        "-m pytest tests/faults -k kills; database: postgres"
    ]


def test_the_other_parts_run_the_tests_that_the_first_ignores(make):
    short, _, core, _, long = make("test-all")[2:]
    others = [word for line in (core, long) for word in line.split() if word.startswith("tests/")]
    assert sorted(others) == sorted(re.findall(r"--ignore=(\S+)", short))
    assert all((ROOT / path).exists() for path in others)


def test_the_check_runs_all_tests(make, folder):
    for tool in ("ruff", "mypy"):
        put(folder / ".venv" / "bin" / tool, "#!/bin/sh\n")
    tests = make("test-all")[2:]
    assert make("check")[-5:] == tests


def test_tests_that_failed_in_parallel_are_repeated_alone_and_reported(make):
    lines = make("test-all", BESIDE="1")[2:]
    assert [again for again, _, _ in map(ends, lines)] == [False, True] * 5
    assert all(ends(lines[at + 1])[2] == ends(lines[at])[2] for at in (0, 2, 4, 6, 8))
    assert make.said.count("Running the failed tests again, alone") == 5


def test_a_short_test_that_failed_in_parallel_is_repeated_alone(make):
    first, again = make("test", BESIDE="1")[2:]
    assert ends(again)[0] and "-m not slow" in first and "-m not slow" in again


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_a_test_that_fails_alone_too_fails_the_command(make, target):
    assert len(make(target, BESIDE="1", ALONE="1", fails=True)[2:]) == 2


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_tests_that_could_not_run_are_not_repeated(make, target):
    assert len(make(target, BESIDE="2", fails=True)[2:]) == 1


# The browser app


@pytest.fixture
def web(folder):
    """The folder of the app on a machine with Node.js."""
    web = folder / "web"
    (web / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "src/main.tsx"):
        (web / name).write_text("{}")
    for name in ("npm.sh", "node.txt"):
        shutil.copy(ROOT / "web" / name, web)
    (folder / "machine").mkdir()
    put(folder / "machine" / "node", NODE)
    put(folder / "machine" / "npm", NPM)
    (folder / ".venv" / "runtime.stamp").touch()
    return web


def put(path, program):
    path.write_text(program)
    path.chmod(0o755)


def test_the_app_is_built_once_before_the_server_starts(make, web):
    assert make("run") == [CI, BUILD, SERVE]
    assert (web / "dist" / "index.html").read_text() == "new\n"
    assert make("run") == [SERVE]
    assert make("web") == []


def test_the_app_is_built_again_after_a_change_of_a_source(make, web):
    make("run")
    change(web / "src" / "main.tsx")
    (web / "dist" / "old.js").touch()
    assert make("run") == [BUILD, SERVE]
    assert not (web / "dist" / "old.js").exists()


def test_the_packages_of_the_app_follow_their_lock(make, web):
    make("run")
    change(web / "package-lock.json")
    assert make("run") == [CI, BUILD, SERVE]


@pytest.mark.parametrize("name", ["main.test.tsx", "schema.d.ts"], ids=["test", "types"])
def test_a_change_of_a_test_or_of_the_generated_types_builds_nothing(make, web, name):
    make("run")
    (web / "src" / name).touch()
    change(web / "src" / name)
    assert make("run") == [SERVE]


@pytest.mark.parametrize("step", ["ci", "run"])
def test_a_failed_build_of_the_app_does_not_prevent_a_start(make, web, folder, step):
    assert make("run", NPM_FAILS=step)[-1] == SERVE
    assert "make web" in make.said and "npm says why" not in make.said
    assert "npm says why" in (folder / ".venv" / "web.log").read_text()
    assert make("run")[-2:] == [BUILD, SERVE], "it is tried again"


@pytest.mark.parametrize("words", [["test-all"], ["test", "ARGS=tests/browser -k menu"]], ids=["all", "in a browser"])
def test_the_app_is_built_once_before_its_tests(make, web, words):
    first = make(*words)
    assert first[2:4] == [CI, BUILD] and "-m pytest" in first[4]
    assert BUILD not in make(*words)
    change(web / "src" / "main.tsx")
    assert make(*words)[0] == BUILD


@pytest.mark.parametrize("arguments", [[], ["ARGS=tests/test_engine.py"]], ids=["short", "named"])
def test_other_tests_need_no_build(make, web, arguments):
    assert BUILD not in make("test", *arguments)


def test_a_failed_build_of_the_app_is_reported_and_tests_still_run(make, web):
    assert "tests/browser" in make("test-all", NPM_FAILS="run")[-1]
    assert "The build failed, so tests of it are skipped or fail; run `make web`" in make.said


def test_a_failed_rebuild_keeps_the_previous_app(make, web):
    make("run")
    change(web / "src" / "main.tsx")
    make("run", NPM_FAILS="run")
    assert (web / "dist" / "index.html").exists()


def test_make_web_fails_with_the_reason(make, web):
    make("web", fails=True, NPM_FAILS="ci")
    assert "npm says why" in make.said


@pytest.mark.parametrize(
    ("arguments", "settings"), [(["WEB=no"], {}), ([], {"HEADRACE_WEB": "0"}), ([], {"HEADRACE_WEB": "false"})]
)
def test_the_app_is_not_built_if_a_setting_says_so(make, web, arguments, settings):
    assert make("run", *arguments, **settings) == [SERVE]


def test_a_machine_without_a_recent_node_gets_one_in_the_environment(make, web, folder):
    put(folder / ".venv" / "bin" / "npm", NPM.replace("npm $*", "own npm $*"))
    node = "-m pip install --quiet --disable-pip-version-check -r web/node.txt"
    assert make("run", OLD_NODE="1") == [node, f"own {CI}", f"own {BUILD}", SERVE]
    change(web / "src" / "main.tsx")
    assert make("run", OLD_NODE="1") == [f"own {BUILD}", SERVE]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js")
def test_the_required_version_of_node_is_vites():
    versions = {
        **{"18.20.8": 1, "20.18.3": 1, "20.19.0": 0, "21.7.3": 1, "22.11.0": 1, "22.12.0": 0},
        **{"23.0.0": 0, "24.19.0": 0},
    }
    source = (ROOT / "web" / "npm.sh").read_text().split("new_enough='")[1].split("'\n")[0]
    # All versions in one process, which prints each exit status.
    script = f"process.exit = status => console.log(status); for (const version of {list(versions)}) {{"
    script += f"Object.defineProperty(process.versions, 'node', {{value: version, configurable: true}});{source}}}"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=30)
    assert done.stderr == "" and dict(zip(versions, map(int, done.stdout.split()), strict=True)) == versions


def test_clean_removes_the_build_and_no_source(make, web):
    make("run")
    make("clean")
    assert not (web / "node_modules").exists() and not (web / "dist").exists() and (web / "src").exists()


# The pinned packages

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINNED = {name: ROOT / "packs" / name / "requirements.txt" for name in EXTRAS} | {
    "dev": ROOT / "tests/requirements.txt",
    None: ROOT / "requirements.txt",
}
# These are installed into folders of their own, from an `.in` file beside them.
OF_THEIR_OWN = (ROOT / "web/node.txt", ROOT / "tests/uv.txt", ROOT / "tests/clients/python.txt")
LOCKS = sorted((*PINNED.values(), *OF_THEIR_OWN))


def pins(path):
    """Return the packages of a file of pins, each as one line: `name==version`, then hashes."""
    text = re.sub(r"^ *#.*\n|\\\n", "", path.read_text(), flags=re.M)
    return dict(line.split("==", 1) for line in text.split("\n") if line)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_is_pinned_with_its_hashes(path):
    assert path not in OF_THEIR_OWN or path.with_suffix(".in").exists()
    for name, rest in pins(path).items():
        assert re.fullmatch(r"[A-Za-z0-9.!+_-]+( *;[^#]*)?( +--hash=sha256:[0-9a-f]{64})+ *", rest), f"{name}=={rest}"


@pytest.mark.parametrize("name", PINNED)
def test_every_package_of_the_project_is_in_its_lock(name):
    """A library is added in two places: pyproject.toml and the source. `make lock` writes the rest."""
    locked = {package.lower(): rest.split()[0] for package, rest in pins(PINNED[name]).items()}
    for requirement in EXTRAS[name] if name else PROJECT["dependencies"]:
        package, version = re.fullmatch(r"([\w-]+)(?:\[.*\])?==(\S+)", requirement).groups()
        assert locked.get(package.lower()) == version, f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", PINNED)
def test_packages_in_several_files_have_the_same_version(name):
    """Otherwise pip would refuse to install them together."""
    common, found = pins(PINNED["dev"]), pins(PINNED[name])
    assert {name: rest.split() for name, rest in found.items()} == {name: common[name].split() for name in found}


def test_the_requirements_of_a_pack_are_an_extra():
    assert {path.parent.name for path in ROOT.glob("packs/*/requirements.txt")} == EXTRAS.keys() - {"dev"}


def test_no_lock_of_packages_contains_an_address():
    for path in [*LOCKS, *ROOT.glob("web/package-lock.json")]:
        assert not re.search(r'"resolved": "http|--index-url|--find-links|\.(tgz|whl)\b', path.read_text()), path
