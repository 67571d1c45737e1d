"""How accurate is it, and how sure is that? GSM8K, MMMU and generated problems.

problems = evals.gsm8k.read(Path("test.jsonl")).first(200)
report = await evals.run(endpoint, problems, out=Path("fp8.jsonl"))
print(report)                                  # the score, its interval, n, invalid
print(evals.compare(report, evals.read_report(Path("bf16.jsonl"))))

problems         what is asked, and the right answer
gsm8k, mmmu      the two published sets: files, prompts, limits
word_problems    generated problems with known answers: no benchmark of anybody's
extract          the answer in a text
run              the requests, each answer judged; refuses a twin
sgl_eval         SGLang's own harness on the same problems
lines, report    the result file; score, groups, two runs compared
published        the cookbook's two runs, and what their printed lines give away
"""

from kit.evals import gsm8k, mmmu, sgl_eval, word_problems
from kit.evals.problems import Problem, ProblemSet
from kit.evals.published import PublishedEval, published
from kit.evals.report import Answered, Comparison, EvalReport, Score, compare, read_report, recorded
from kit.evals.run import Settings, run

__all__ = [
    "Answered",
    "Comparison",
    "EvalReport",
    "Problem",
    "ProblemSet",
    "PublishedEval",
    "Score",
    "Settings",
    "compare",
    "gsm8k",
    "mmmu",
    "published",
    "read_report",
    "recorded",
    "run",
    "sgl_eval",
    "word_problems",
]
