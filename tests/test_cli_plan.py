"""`kit plan` on the command line: figures on stdout, two lines on stderr, files where asked."""

import json

import pytest

from kit.cli import main

ASKED = ["plan", "--input-len", "600", "--output-len", "60", "--gpu", "h200", "--precision", "fp8"]


def test_json_is_all_of_stdout_and_names_what_was_asked(capsys):
    argv = [*ASKED, "--users", "20", "--ttft-ms", "1000", "--tpot-ms", "40", "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"]
    assert told["target"]["users"] == 20
    assert told["profiles"][0]["argv"][:2] == ["sglang", "serve"]


def test_the_table_says_what_it_ranks_by_and_the_files_it_wrote(capsys, tmp_path):
    argv = [*ASKED, "--users", "20", "--ttft-ms", "1000", "--price", "h200=3"]
    assert main([*argv, "--export", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "cost per month" in said
    assert "written:" in said
    assert (tmp_path / "out" / "README.txt").is_file()
    assert max(len(line) for line in said.splitlines() if " holds " in line) <= 130


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--users", "20", "--ttft-ms", "1"], "nothing that was tried keeps"),
        (["--users", "0", "--ttft-ms", "900"], "0 users"),
        (["--users", "20", "--ttft-ms", "900", "--price", "h200=-2"], "a price of -2"),
        (["--users", "20", "--ttft-ms", "900", "--price", "z9=2"], "no GPU called"),
        (["--users", "20", "--ttft-ms", "900", "--percentile", "101"], "percentile 101"),
        (["--users", "20", "--ttft-ms", "900", "--max-gpus", "0"], "0 GPUs at most"),
        (["--users", "20"], "nothing is promised"),
    ],
)
def test_what_cannot_be_is_two_lines_and_exit_code_2(capsys, more, said):
    assert main([*ASKED, *more]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert said in lines[-2]
    assert lines[-1].startswith("→ ")


def test_an_slo_that_nobody_holds_still_gives_its_figures_as_json(capsys):
    assert main([*ASKED, "--users", "20", "--ttft-ms", "1", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert not told["holds"]
    assert told["profiles"][0]["times_the_bound"]["ttft"]["expected"] > 1
