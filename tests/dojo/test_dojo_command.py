"""The commands: what is printed in a pipe and in a terminal, exit codes, and one-line errors."""

from __future__ import annotations

import io
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from learners import solution

from tinyalexnet import __main__ as command
from tinyalexnet.dojo import command as dojo
from tinyalexnet.dojo import program, terminal, watch
from tinyalexnet.dojo.folder import STATE, Folder
from tinyalexnet.dojo.page import Page
from tinyalexnet.dojo.path import EXERCISES, file_name
from tinyalexnet.dojo.terminal import Printer

FIRST, SECOND, THIRD = (EXERCISES[name] for name in ("inner_product", "relu_backward", "fast_dense"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, six):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(capsys):
    """The exit code, the output and the errors of a command."""

    def cli_in_process(*words):
        try:
            code = command.main(["dojo", *words])
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return cli_in_process


def solve(exercise, folder="dojo"):
    file = Path(folder) / file_name(exercise)
    file.write_text(solution(exercise.name), encoding="utf-8")
    return str(file)


def test_the_first_command_writes_the_exercises_and_checks_the_first(cli):
    code, out, err = cli()
    assert (code, err) == (1, "")
    assert out.startswith("6 exercises written to the folder dojo.\n\nThe inner product (predict the numbers)\n")
    assert out.endswith(
        "\nNext\n"
        "    Change   dojo/01_inner_product.py\n"
        "    Check    python -m tinyalexnet dojo check dojo/01_inner_product.py\n"
        "    A hint   python -m tinyalexnet dojo hint dojo/01_inner_product.py\n"
    )
    assert "\x1b" not in out
    again = cli()
    assert again[0] == 1
    assert again[1].startswith("The inner product")
    solve(FIRST)
    code, out, err = cli()
    assert (code, err) == (0, "")
    assert out.endswith(
        "\nSolved.\n"
        "1 of 6 exercises is solved.\n"
        "Next: ReLU, backward (fill the hole). Open dojo/02_relu_backward.py: its first lines say\n"
        "what to do.\n"
    )
    assert cli()[1].startswith("ReLU, backward")


def test_a_folder_of_another_name(cli):
    assert cli("work/mine")[0] == 1
    assert Folder("work/mine").exists
    (Path("work") / "file").write_text("")
    code, out, err = cli("work/file")
    assert (code, out) == (2, "")
    assert err == "python -m tinyalexnet: FOLDER is 'work/file', but must not be a file\n"


def test_within_the_folder_it_is_the_usual_one(cli, monkeypatch):
    cli()
    monkeypatch.chdir("dojo")
    solve(FIRST, ".")
    assert cli()[0] == 0
    assert "01_inner_product.py" in cli("list")[1]
    assert not Path("dojo").exists()


def test_check_notes_what_is_solved_in_a_folder_of_the_dojo_alone(cli, here):
    cli()
    file = solve(SECOND)
    assert cli("check", file)[0] == 0
    assert Folder("dojo").solved() == [SECOND]
    assert cli("check", "2")[1].startswith("ReLU, backward")
    assert cli("check", "relu_backward")[0] == 0
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    code, out, _ = cli("check", solve(SECOND, elsewhere))
    assert code == 0
    assert out.endswith("\nSolved.\n")
    assert not (elsewhere / STATE).exists()


def test_a_failure_names_the_case_to_see(cli):
    cli()
    Path("dojo/02_relu_backward.py").write_text("def relu_backward(dout, x):\n    return dout\n")
    code, out, _ = cli("check", "2")
    assert code == 1
    assert "\n    See the case   python -m tinyalexnet dojo show relu_backward both-signs\n" in out
    code, out, _ = cli("show", "relu_backward", "both-signs")
    assert code == 0
    assert out.startswith('The case "both-signs" of relu_backward\n')
    assert cli("show", "dojo/02_relu_backward.py")[1] == cli("show", "2")[1]


def test_list(cli):
    before = cli("list")
    assert before[0] == 0
    assert before[1].startswith("next    01_inner_product.py ")
    cli("mine")
    cli("check", solve(FIRST, "mine"))
    cli("check", solve(THIRD, "mine"))
    out = cli("list", "mine")[1].splitlines()
    assert [line[:6].strip() for line in out[:4]] == ["solved", "next", "solved", ""]
    assert len(out) == 8
    assert out[1] == "next    02_relu_backward.py     fill     ReLU, backward"
    assert out[-1] == "2 of 6 exercises are solved."


def test_hints(cli):
    assert cli("hint")[2] == (
        "python -m tinyalexnet: there is no folder of exercises here: python -m tinyalexnet dojo writes one\n"
    )
    cli()
    outs = [cli("hint")[1] for _ in range(4)]
    assert outs[0].startswith("The inner product: hint 1 of 3\n\n    Which of the three products change")
    assert outs[0].endswith("\nThe same command gives the next hint.\n")
    assert "hint 2 of 3\n\n    a      2   -1    3\n    b " in outs[1]
    assert outs[2].endswith("\nThis is the last hint.\n")
    assert outs[3] == outs[2]
    assert "ReLU, backward: hint 1 of 3" in cli("hint", "dojo/02_relu_backward.py")[1]
    assert "ReLU, backward: hint 2 of 3" in cli("hint", "relu_backward")[1]


def test_a_hint_by_its_number_needs_no_folder(cli):
    code, out, _ = cli("hint", "relu_backward", "2")
    assert code == 0
    assert out.startswith("ReLU, backward: hint 2 of 3\n\n    x       -3   0   2\n")
    assert out.endswith("dout times the slope\n")
    assert cli("hint", "relu_backward", "1")[0] == 0
    assert not list(Path().iterdir())
    for number in ("0", "4", "x"):
        assert cli("hint", "2", number)[2] == f"python -m tinyalexnet: NUMBER is {number!r}, but must be from 1 to 3\n"


def test_reset_keeps_the_old_file(cli):
    cli()
    file = solve(SECOND)
    code, out, _ = cli("reset", file)
    assert code == 0
    assert out == ("dojo/02_relu_backward.py is new again.\nYour own file is now dojo/02_relu_backward.old1.py.\n")
    assert Path("dojo/02_relu_backward.old1.py").read_text() == solution("relu_backward")
    Path(file).unlink()
    assert cli("reset", "2")[1] == "dojo/02_relu_backward.py is new again.\n"


def test_all_solved(cli, six):
    cli()
    folder = Folder("dojo")
    for exercise in six:
        folder.note_solved(exercise)
    for words in ([], ["hint"], ["list"]):
        code, out, _ = cli(*words)
        assert code == 0
        assert out.endswith("All 6 exercises are solved. Well done!\n")
    assert cli("check", solve(SECOND))[1].endswith("\nSolved.\nAll 6 exercises are solved. Well done!\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["chek"], "'chek' is no folder yet: 'check' is meant, or ./chek to make one of this name"),
        (["chek", "x.py"], "'chek' is none of list, check, hint, show, reset, teacher, and a FOLDER stands alone"),
        (["check"], "check has 0 words after it: the use is python -m tinyalexnet dojo check FILE"),
        (["reset", "1", "2"], "reset has 2 words after it: the use is python -m tinyalexnet dojo reset FILE"),
        (["check", "x.py"], "FILE is 'x.py', but must be a file of the dojo, such as dojo/01_inner_product.py"),
        (["check", "99"], "FILE is '99', but must be a file of the dojo, such as dojo/01_inner_product.py"),
        (["check", "1"], "there is no folder of exercises here: python -m tinyalexnet dojo writes one"),
        (["check", "no/relu_backward.py"], "FILE is 'no/relu_backward.py', but there is no such folder"),
        (
            ["check", "relu_backward.py"],
            "FILE is 'relu_backward.py', but there is no such file: "
            "python -m tinyalexnet dojo reset relu_backward.py writes it",
        ),
        (
            ["show", "0"],
            "NAME is '0', but must be the name, number or file of an exercise: python -m tinyalexnet dojo list",
        ),
        (["show", "1"], "inner_product has no cases to show: its text says all"),
    ],
)
def test_wrong_use_is_one_line(cli, words, error):
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert err == f"python -m tinyalexnet: {error}\n"
    assert not list(Path().iterdir())


def test_a_folder_may_have_the_name_of_nearly_a_command(cli):
    Path("lists").mkdir()
    assert cli("lists")[0] == 1
    assert cli("./chek")[0] == 1


def test_help(cli):
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert "check FILE" in out
    assert "the first hint, then the second, then the third;" in out
    assert max(map(len, out.splitlines()[2:])) <= 120
    uses = out[out.index("  [FOLDER]    ") :].splitlines()
    column = 2 + max(map(len, dojo.USES)) + 2
    assert {line[:column].rstrip() for line in uses} == {"", *(f"  {words}" for words in dojo.USES)}
    assert " ".join(line[column:] for line in uses) == " ".join(dojo.USES.values())
    assert all(line[column] != " " for line in uses)


# --- a terminal -------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal_out(monkeypatch):
    """A terminal as standard output, and the text that was printed to it."""
    out = Terminal()
    monkeypatch.setattr(dojo, "sys", SimpleNamespace(stdout=out))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return out


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_in_a_terminal_it_watches(cli, terminal_out, monkeypatch):
    def saves(folder):
        yield [folder / STATE, folder / "notes.txt", folder / "gone_relu_backward.py", folder / "07_relu_backward.py"]
        yield [Path(solve(FIRST))]

    monkeypatch.setattr(dojo, "saves", saves)
    assert cli()[0] == 0
    out = plain(terminal_out.getvalue())
    assert out.startswith(
        "6 exercises written to the folder dojo.\n"
        "\n"
        "0 of 6 exercises are solved.\n"
        "\n"
        "Next: The inner product (predict the numbers). Open dojo/01_inner_product.py: its first\n"
        "lines say what to do.\n"
        "\n"
        "Each time you save a file of this folder, it is checked here. Ctrl-C ends it.\n"
        "\n"
        "--- dojo/01_inner_product.py ---"
    )
    assert out.count("--- dojo/") == 1
    assert "Solved.\n1 of 6 exercises is solved.\nNext: ReLU, backward (fill the hole)." in out


def test_a_renamed_file_is_named_once(cli, terminal_out, monkeypatch):
    def saves(folder):
        others = "my_relu.py", "02_relu_backward.old1.py", ".relu.py", "notes.txt"
        for name in others:
            (folder / name).write_text("x = 1")
        for _ in range(2):
            yield [folder / name for name in others]

    monkeypatch.setattr(dojo, "saves", saves)
    assert cli()[0] == 0
    out = plain(terminal_out.getvalue())
    assert "--- dojo/" not in out
    assert out.endswith(
        "Ctrl-C ends it.\n"
        "\n"
        "my_relu.py is saved, but no exercise has this name: a file is checked if it has the name\n"
        "that it had first.\n"
    )


def test_a_folder_that_is_not_writable(cli, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", self)

    monkeypatch.setattr(Path, "mkdir", refuse)
    code, _, err = cli()
    assert code == 2
    assert err == "python -m tinyalexnet: no permission for 'dojo': use a folder that you may write to\n"


def test_an_empty_file_is_no_wrong_answer(cli):
    Folder("dojo").write()
    Path("dojo/01_inner_product.py").write_text("\n")
    code, out, err = cli("check", "1")
    assert (code, err) == (1, "")
    sentence = "The file is empty. `python -m tinyalexnet dojo reset inner_product` writes the exercise anew."
    assert sentence in " ".join(out.split())


def test_commands_begin_with_the_python_that_runs(here, monkeypatch):
    monkeypatch.setenv("PATH", str(here))
    assert program.command() == f"{shlex.quote(sys.executable)} -m tinyalexnet dojo"
    monkeypatch.setattr(sys, "executable", str(here / "an env" / "python"))
    assert program.command() == "'an env/python' -m tinyalexnet dojo"
    for name in ("python3", "python"):
        (here / name).write_text("")
        (here / name).chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(here / "python3.11"))
        assert program.command() == f"{name} -m tinyalexnet dojo"


def test_an_exercise_that_was_begun_is_checked_at_the_start(cli, terminal_out, monkeypatch, six):
    Folder("dojo").write()
    Path("dojo/01_inner_product.py").write_text("answers = {'s': 1}")
    monkeypatch.setattr(dojo, "saves", lambda folder: [])
    assert cli()[0] == 0
    out = plain(terminal_out.getvalue())
    assert "answers has no change and slope: keep the names that were there." in out
    assert "    Change   dojo/01_inner_product.py, and save it: it is checked again\n" in out
    assert "dojo check" not in out
    for exercise in six:
        Folder("dojo").note_solved(exercise)
    terminal_out.truncate(0)
    assert cli()[0] == 0
    assert plain(terminal_out.getvalue()).endswith("All 6 exercises are solved. Well done!\n")


@pytest.mark.parametrize("missing", ["rich", "watchfiles"])
def test_watching_needs_its_packages_and_says_what_to_do(cli, terminal_out, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr(dojo, "saves", lambda folder: [])
    code, _, err = cli()
    assert code == 2
    assert err == (
        "python -m tinyalexnet: watching the folder needs rich and watchfiles: pip install 'tinyalexnet[dojo]', or "
        "check one file: python -m tinyalexnet dojo check FILE\n"
    )
    assert not Path("dojo").exists()


def test_colours_repeat_what_the_words_say(terminal_out, monkeypatch):
    page = Page().line("Title", "head").line("  WRONG  1 all [/] :smile: 3", "wrong").line("  plain 1", "")
    Printer(terminal_out).show(page)
    coloured = terminal_out.getvalue()
    assert plain(coloured) == page.text
    assert "\x1b[1mTitle\x1b[0m" in coloured
    assert "\x1b[1;31m  WRONG \x1b[0m 1 all" in coloured
    assert "  plain 1" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    bare = Terminal()
    Printer(bare).show(page)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", bare.getvalue())
    assert plain(bare.getvalue()) == page.text
    monkeypatch.setitem(sys.modules, "rich.console", None)
    without = Terminal()
    Printer(without).show(page)
    assert without.getvalue() == page.text


def test_a_terminal_that_lacks_a_character_shows_a_question_mark():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Printer(out).show(Page().line("⟨dx, v⟩"))
    assert raw.getvalue() == b"?dx, v?\n"


def test_only_files_that_were_saved_are_handed_on(monkeypatch):
    from watchfiles import Change

    events = [
        {
            (Change.added, "dojo/b.py"),
            (Change.modified, "dojo/a.py"),
            (Change.added, "dojo/a.py"),
            (Change.deleted, "c.py"),
        },
        {(Change.deleted, "dojo/a.py")},
    ]

    def fake(folder, recursive):
        assert (folder, recursive) == (Path("dojo"), False)
        return events

    monkeypatch.setattr("watchfiles.watch", fake)
    assert list(watch.saves(Path("dojo"))) == [[Path("dojo/a.py"), Path("dojo/b.py")], []]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_save_is_seen_in_a_real_terminal_and_ctrl_c_ends_it(here):
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyalexnet", "dojo"],
        stdout=slave,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(command.__file__).parents[1])},
    )
    os.close(slave)
    text = ""
    try:

        def until(words):
            nonlocal text
            deadline = time.monotonic() + 60
            while words not in text:
                assert time.monotonic() < deadline, text
                if select.select([master], [], [], 0.1)[0]:
                    text += plain(os.read(master, 4096).decode()).replace("\r", "")

        until("Ctrl-C ends it.")
        time.sleep(0.5)  # until watchfiles watches
        solve(FIRST)
        until("1 of ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(master)
    assert process.returncode == 130
    assert err == "interrupted\n"
    assert Folder("dojo").solved() == [FIRST]


def test_printers_go_to_what_is_standard_output_now(terminal_out):
    assert terminal._console(terminal_out) is not None
