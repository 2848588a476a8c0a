"""The rules of self-play: proposals, attempts, and the lengths of both.

`unsolved_tasks` fires on the recorded healthy runs, and rightly: in induction the proposer learns
to ask what the solver never answers.
"""

from functools import partial

from azr_mini.health import signal
from azr_mini.health.history import ratio, share
from azr_mini.health.rule import Rule

SELFPLAY_RULES = (
    # ---- proposals
    Rule(
        "dead_proposer",
        partial(share, prefix="valid_rate/", role="propose/"),
        threshold=0.1,
        healthy=0.85,
        why="the solve batch is then made of old tasks",
        sentence="{share} of the {type} proposals of {steps} were valid.",
        advice=(
            "see what they are rejected for in the figure valid_rate and with `show RUN "
            "--role propose --type {type}`. A policy that was able to propose and forgot "
            "it needs a lower --learning-rate or some --kl-coef; one that never was, a "
            "stronger base model."
        ),
        below=True,
    ),
    Rule(
        "malformed_proposals",
        signal.malformed_proposals,
        threshold=0.5,
        healthy=0.11,
        why="the format then decides most rewards, not the task",
        sentence=(
            "{share} of the {type} proposals of {steps} did not parse, though they were not cut."
        ),
        advice=(
            "read some with `show RUN --role propose --type {type}`: the format is being "
            "forgotten (lower --learning-rate, some --kl-coef) or was never learned "
            "(another --model)."
        ),
    ),
    Rule(
        "duplicates",
        partial(share, prefix="duplicate_rate/", role="propose/"),
        threshold=0.3,
        healthy=0.031,
        why="three in ten, where healthy proposers hardly repeat themselves",
        sentence="{share} of the {type} proposals of {steps} repeat a known task.",
        advice=(
            "use --duplicates reject, so that copying earns nothing, a --temperature of 1 "
            "and more --num-references."
        ),
    ),
    Rule(
        "equal_proposals",
        signal.equal_proposals,
        threshold=0.5,
        healthy=0.1,
        why="every other step gives the proposer no gradient",
        sentence=(
            "In {share} of {steps} every {type} proposal earned the same, so none was preferred."
        ),
        advice=(
            "look at solve_rate/{type}: at 0 or 1 all tasks are too hard or too easy. "
            "More --num-attempts tell them apart, a larger --batch-size makes equal "
            "rewards rarer."
        ),
    ),
    Rule(
        "nothing_to_learn",
        signal.learnable,
        threshold=0.1,
        healthy=0.36,
        why="nine in ten tasks are solved never or always, and pay nobody",
        sentence=(
            "{share} of the new tasks of {steps} were solved by some attempts but not by all."
        ),
        advice=(
            "only such tasks teach. If solve rates are near 0 the base is too weak for "
            "its own tasks; if near 1 or at a low --temperature all attempts are alike; "
            "with few --num-attempts a rare success is never seen."
        ),
        below=True,
    ),
    Rule(
        "proposer_at_its_best",
        signal.of_best_reward,
        threshold=0.85,
        healthy=0.49,
        why="nobody knows for every task that exactly one attempt will solve it",
        sentence="The {type} proposer earned {share} of the best possible reward in {steps}.",
        advice=(
            "too good to be true. Read its tasks with `show RUN --role propose --type "
            '{type} --reward ">0.5"`: tasks that are solved by luck (guessing a boolean, '
            "say) look hard."
        ),
    ),
    Rule(
        "buffer_stalled",
        signal.buffer_growth,
        threshold=0,
        healthy=136,
        why="one task would do to show that proposals still arrive",
        sentence="No {type} task joined the buffer in {steps}.",
        advice=(
            "the solver only repeats old tasks. Look at valid_rate/{type} and "
            "duplicate_rate/{type} for the reason."
        ),
        below=True,
    ),
    Rule(
        "old_programs",
        signal.new_programs,
        threshold=0.2,
        healthy=0.46,
        why="four in five are known programs with other inputs",
        sentence=(
            "{share} of the {type} tasks that joined the buffer in {steps} had a new program."
        ),
        advice=(
            "the proposer varies inputs, not programs: read some with `show RUN --role "
            "propose --type {type}`; more --num-references and --entropy-coef widen what "
            "it writes."
        ),
        below=True,
    ),
    # ---- attempts
    Rule(
        "unsolved_tasks",
        signal.unsolved,
        threshold=signal.MOST,
        healthy=0.72,
        why="most of the tasks teach nothing",
        sentence=(
            "At least {share} of the {type} tasks of {steps} were solved by no attempt, "
            "though answers were well-formed: the proposer outruns the solver."
        ),
        advice=(
            "an unsolved task pays neither role. Try --proposer-reward variance or band, "
            "--zero-learnability-reward -0.5, more --num-attempts, or --no-train-proposer "
            "for a while."
        ),
    ),
    Rule(
        "too_easy_tasks",
        signal.all_solved,
        threshold=0.6,
        healthy=0.49,
        why="six in ten teach nothing; a frozen proposer's tasks come near a half",
        sentence="At least {share} of the {type} tasks of {steps} were solved by every attempt.",
        advice=(
            "such tasks teach nothing: train the proposer (it is paid for harder ones), "
            "or use --zero-learnability-reward -0.5."
        ),
    ),
    Rule(
        "equal_attempts",
        signal.equal_attempts,
        threshold=0.9,
        healthy=0.68,
        why="one task in ten is left to learn from",
        sentence="For {share} of the {type} tasks of {steps} all attempts earned the same.",
        advice=(
            "without differences there is no gradient: keep --temperature at 1, and see whether "
            "entropy has collapsed."
        ),
    ),
    Rule(
        "malformed_answers",
        signal.malformed_answers,
        threshold=0.3,
        healthy=0.016,
        why="the format then decides much of the gradient, not the answer",
        sentence=(
            "{share} of the {type} answers of {steps} were malformed, though they were not cut."
        ),
        advice=(
            "read some with `show RUN --role solve --type {type} --reward -1`: the format "
            "is being forgotten (lower --learning-rate, some --kl-coef) or was never "
            "learned (another --model, an instruct one)."
        ),
    ),
    Rule(
        "jumped_solve_rate",
        signal.jumped_solve_rate,
        threshold=0.9,
        healthy=None,
        why="from 60 % or less to nearly all within ten steps: learning is slower",
        sentence=(
            "The {type} solve rate jumped to {value:.0%} within ten steps, and no "
            "held-out accuracy is known to have moved with it."
        ),
        advice=(
            "too good to be true. Read answers with `show RUN --role solve --type {type} "
            '--reward ">0"`: either the tasks became trivial, or the grader accepts what '
            "it should not."
        ),
    ),
    # ---- lengths
    Rule(
        "truncation",
        partial(share, prefix="completion_length/", suffix="/truncated"),
        threshold=signal.CUT,
        healthy=0.0031,
        why="one in ten: then the 90th percentile is the limit",
        sentence="{share} of the completions of {place} in {steps} were cut at the limit.",
        advice=(
            "a cut answer has no end and earns the penalty, however good it was: raise "
            "--max-new-tokens, or find out with `show RUN` why it does not end."
        ),
    ),
    Rule(
        "near_limit",
        signal.near_limit,
        threshold=0.9,
        healthy=0.32,
        why="what grows further is cut",
        sentence="One in ten completions of {place} uses {share} or more of --max-new-tokens.",
        advice="raise --max-new-tokens before answers are cut.",
    ),
    Rule(
        "length_explosion",
        partial(ratio, prefix="completion_length/", suffix="/mean"),
        threshold=3.0,
        healthy=1.9,
        why="learning to think doubles lengths",
        sentence="Completions of {place} are {value:.1f} times as long as in the first steps.",
        advice=(
            "growth is good news only while the solve rate rises. Read the longest with "
            "`show RUN --role {role} --type {type}`: if they repeat themselves, lower "
            "--learning-rate; --loss-norm constant takes away what token_mean pays long "
            "answers."
        ),
    ),
)
