"""The rules of the policy and of the machine that runs it."""

from azr_mini.health import machine
from azr_mini.health.rule import Rule

MACHINE_RULES = (
    # ---- the policy
    Rule(
        "entropy_collapse",
        machine.entropy_ratio,
        threshold=machine.FALLEN,
        healthy=0.57,
        why="learning takes some entropy, not most of it",
        sentence="Entropy has fallen to {share} of its first level.",
        advice=(
            "the policy says nearly the same each time and stops exploring: lower "
            "--learning-rate, or pay for entropy with --entropy-coef 0.001."
        ),
        below=True,
    ),
    Rule(
        "low_entropy",
        machine.low_entropy,
        threshold=0.05,
        healthy=0.16,
        why="nats a token: almost every token is certain",
        sentence="Entropy is {value:.3f} nats a token, nearly none.",
        advice=(
            "the base was certain from the start: attempts hardly differ. Keep "
            "--temperature at 1, pay for entropy with --entropy-coef 0.001, or take a "
            "base that was trained less."
        ),
        below=True,
    ),
    Rule(
        "entropy_explosion",
        machine.entropy_ratio,
        threshold=2.0,
        healthy=1.0,
        why="learning does not raise it",
        sentence="Entropy has risen to {value:.1f} times its first level.",
        advice=(
            "the policy is falling apart into noise: lower --learning-rate, set "
            "--entropy-coef to 0."
        ),
    ),
    Rule(
        "kl_runaway",
        machine.kl,
        threshold=0.3,
        healthy=0.067,
        why="nats a token: several times what healthy runs move",
        sentence="The KL to the base is {value:.2f} nats a token.",
        advice=(
            "the policy forgets what the base could do: lower --learning-rate or add "
            "--kl-coef 0.01."
        ),
    ),
    Rule(
        "gradient_explosion",
        machine.gradient_ratio,
        threshold=5.0,
        healthy=1.4,
        why="medians of five steps hardly move",
        sentence="The gradient norm is {value:.1f} times that of the first steps.",
        advice="lower --learning-rate or --max-grad-norm.",
    ),
    Rule(
        "skipped_updates",
        machine.skipped_updates,
        threshold=1,
        healthy=0.0,
        why="one is one too many",
        sentence=(
            "{value:.0f} updates of {steps} were thrown away, their gradient was not finite."
        ),
        advice=(
            "in float16 a few are how the loss scale settles; if they go on, float16 overflows: "
            "use --dtype bfloat16 or float32. Else lower --learning-rate. If every step is "
            "skipped the policy no longer changes."
        ),
    ),
    Rule(
        "sampler_gap_float32",
        machine.exact_gap,
        threshold=1e-3,
        healthy=None,
        why="float32 rounds at 1e-7, and sums of it stay below 1e-4",
        sentence=(
            "Sampler and learner differ by {value:.2g} in the log-probability of a token, "
            "in float32."
        ),
        advice=(
            "they must be the same policy: is the sampler refreshed after updates, with "
            "the same adapter and the same chat template?"
        ),
    ),
    Rule(
        "sampler_gap",
        machine.rounded_gap,
        threshold=0.05,
        healthy=0.0025,
        why="a quarter of the clip range of 0.2",
        sentence="Sampler and learner differ by {value:.2g} in the log-probability of a token.",
        advice=(
            "the update is off-policy: sample and learn with the same adapter in the same "
            "arithmetic (--dtype)."
        ),
    ),
    Rule(
        "importance_capped",
        machine.importance_capped,
        threshold=0.01,
        healthy=None,
        why="rounding never makes a token twice as likely, and what is cut is a bias",
        sentence=(
            "{share} of the sampled tokens are likelier to the learner by more than "
            "--importance-cap."
        ),
        advice=(
            "sampler and learner hold two different models: give both the same base "
            "(--sampler-quantize as --quantize), or use --sampler torch; docs/samplers.md "
            "compares them."
        ),
    ),
    # ---- the machine
    Rule(
        "memory_ran_out",
        machine.smaller_micro_batches,
        threshold=2.0,
        healthy=None,
        why="the learner halves its micro-batches when memory runs out",
        sentence=(
            "Memory ran out in the learner: its micro-batches now have 1/{value:.0f} of the tokens "
            "configured."
        ),
        advice=(
            "nothing was lost, it goes on in more, smaller passes. To spare the failed ones give "
            "the next run fewer --micro-batch-tokens, or --gradient-checkpointing."
        ),
    ),
    Rule(
        "memory_growth",
        machine.memory_slope,
        threshold=0.2,
        healthy=0.03,
        why="lengths and buffer grow, but not memory by a fifth in so few steps",
        sentence=(
            "Memory ({place}) grew by {value:.0%} of its level after warming up in {slope} steps."
        ),
        advice=(
            "extrapolate before a night's run. Lower --micro-batch-tokens if it is the "
            "longest batch that grows; if it grows at constant lengths it is a leak: "
            "please report it with `doctor`."
        ),
    ),
    Rule(
        "memory_doubled",
        machine.memory_ratio,
        threshold=2.0,
        healthy=1.0,
        why="slow leaks show late",
        sentence="Memory ({place}) is {value:.1f} times its level after warming up.",
        advice=(
            "stop, and go on with --resume, which starts with fresh memory; please report "
            "it with `doctor` if lengths did not grow."
        ),
    ),
    Rule(
        "step_time",
        machine.step_time,
        threshold=3.0,
        healthy=1.8,
        why="longer answers double it",
        sentence="Steps take {value:.1f} times as long as the first ones.",
        advice=(
            "see the figure timing: if tokens a second fell, something else uses the "
            "machine or memory is short; if not, completions are longer "
            "(completion_length), and --max-new-tokens bounds them."
        ),
    ),
)
