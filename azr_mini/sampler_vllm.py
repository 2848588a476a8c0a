"""Generation by vLLM, in the process of the learner.

vLLM holds a base of its own and takes the adapter from a folder, under a new name and number after
every update, so that nothing it keeps by name can be of an older one. It rounds in another order
than the learner, and its base may be another (docs/samplers.md): `differs` says so.
"""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress

import torch

from azr_mini.models import find_model
from azr_mini.policy import Policy
from azr_mini.sampler import Completion, check_request

MAX_ROWS = 256  # completions at once
CPU_CACHE = 2**30  # bytes of keys and values at most
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM has buffers for
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else it takes cores from the learner
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class EngineError(RuntimeError):
    """vLLM did not start; the message says why."""


def in_one_line(error: Exception) -> str:
    """The kind of an error and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def import_vllm():
    """The package vllm, quiet and in this process; ImportError if it is not here."""
    # whatever the user has set: an engine in a process of its own would die of our Ctrl-C
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import vllm

    return vllm


class VllmSampler:
    """Writes completions with `policy`, whose adapter it copies at every `refresh`.

    sleep: whether vLLM gives its memory to the learner while it does not write; None: where the
    platform can. ValueError if the policy has no adapter, EngineError if vLLM does not start.
    """

    differs = True

    def __init__(self, policy: Policy, config, *, sleep: bool | None = None) -> None:
        options = engine_options(policy, config)
        vllm = import_vllm()
        from vllm.platforms import current_platform

        has_sleep = current_platform.is_sleep_mode_available()
        self.policy, self.max_positions = policy, options["max_model_len"]
        self._sleeps = has_sleep if sleep is None else sleep
        self._adapters = tempfile.TemporaryDirectory(prefix="azr-mini-adapter-")
        self._number, self._whole = 0, True
        set_num_threads = torch.set_num_threads
        try:
            self._engine = vllm.LLM(**options, enable_sleep_mode=has_sleep)
        except Exception as error:  # of any kind: no memory, no weights, an argument it lacks
            raise EngineError(f"it did not start ({in_one_line(error)})") from error
        finally:
            torch.set_num_threads = set_num_threads  # vLLM's for CPUs puts one there that does not
        self.refresh()
        self._fall_asleep()

    def refresh(self) -> None:
        """To be called after every update: writes the adapter for the next `generate`."""
        old = self._adapters
        self._adapters = tempfile.TemporaryDirectory(prefix="azr-mini-adapter-")
        self._number += 1
        # else peft asks the hub whether the base's embeddings were resized
        self.policy.model.save_pretrained(self._adapters.name, save_embedding_layers=False)
        old.cleanup()

    def generate(
        self,
        prompt_ids: Sequence[Sequence[int]],
        *,
        seeds: Sequence[int],
        num_completions: int = 1,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> list[list[Completion]]:
        """`num_completions` for each prompt, in order; temperature 0 takes the likeliest token.

        Row r of prompt i has a random stream of its own, from (seeds[i], r). A prompt and its
        completion together never exceed the positions that vLLM was started for.
        """
        assert len(seeds) == len(prompt_ids), (len(seeds), len(prompt_ids))
        check_request(
            prompt_ids, self.policy.max_positions, num_completions, max_new_tokens, temperature,
            top_p,
        )  # fmt: skip
        longest = max(map(len, prompt_ids), default=1)
        if longest >= self.max_positions:
            raise ValueError(
                f"a prompt has {longest} tokens but vllm was started for {self.max_positions} "
                "positions: raise max_prompt_tokens, or use sampler torch"
            )
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        prompts, settings = requests(
            prompt_ids, seeds, num_completions, self.policy.stop_ids,
            max_new_tokens=max_new_tokens, max_positions=self.max_positions,
            temperature=temperature, top_p=top_p,
        )  # fmt: skip
        outputs = self._write(
            prompts,
            [SamplingParams(**chosen) for chosen in settings],
            LoRARequest(f"step-{self._number}", self._number, self._adapters.name),
        )
        assert len(outputs) == len(prompts), (len(outputs), len(prompts))
        written = (completion(output.outputs[0], self.policy.stop_ids) for output in outputs)
        return [[next(written) for _ in range(num_completions)] for _ in prompt_ids]

    def _write(self, prompts: list[dict], settings: list, adapter) -> list:
        """What vLLM writes for each prompt; it is awake for as long as that lasts."""
        if not self._whole:
            raise ValueError(
                "vllm was stopped in the middle of a call and cannot go on: make a new sampler"
            )
        self._whole = False
        if self._sleeps:
            self._engine.wake_up()
        try:
            outputs = self._engine.generate(prompts, settings, lora_request=adapter, use_tqdm=False)
        except BaseException:  # Ctrl-C too, which comes between any two of its operations
            with suppress(Exception):
                self._fall_asleep()
            raise
        self._fall_asleep()
        self._whole = True
        return outputs

    def _fall_asleep(self) -> None:
        if self._sleeps:
            self._engine.sleep(level=1)  # weights into the computer's memory, keys and values gone


def completion(output, stop_ids: Sequence[int]) -> Completion:
    """What vLLM wrote for one request, with the log-probability of each token it chose."""
    ids = tuple(output.token_ids)
    logprobs = tuple(at[token].logprob for at, token in zip(output.logprobs, ids, strict=True))
    return Completion(ids, logprobs, truncated=ids[-1] not in stop_ids)


def requests(
    prompt_ids: Sequence[Sequence[int]],
    seeds: Sequence[int],
    num_completions: int,
    stop_ids: Sequence[int],
    *,
    max_new_tokens: int,
    max_positions: int,
    temperature: float,
    top_p: float,
) -> tuple[list[dict], list[dict]]:
    """A prompt and the fields of its `SamplingParams` for each row, prompt by prompt."""
    prompts, settings = [], []
    for ids, seed in zip(prompt_ids, seeds, strict=True):
        for row in range(num_completions):
            prompts.append({"prompt_token_ids": list(ids)})
            settings.append(
                {
                    "temperature": temperature,
                    "top_p": top_p,
                    "seed": row_seed(seed, row),
                    "max_tokens": min(max_new_tokens, max_positions - len(ids)),
                    "stop_token_ids": list(stop_ids),
                    "logprobs": 0,  # only the chosen token's
                    "detokenize": False,
                }
            )
    return prompts, settings


def row_seed(seed: int, row: int) -> int:
    """63 bits that depend on both numbers and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{row}".encode()).digest()[:8], "big") >> 1


# ---- the engine ---------------------------------------------------------------------------------


def engine_options(policy: Policy, config) -> dict:
    """The arguments of `vllm.LLM`; ValueError, saying what to do, if the policy does not fit."""
    peft = getattr(policy.model, "peft_config", {}).get("default")
    if peft is None:
        raise ValueError(
            "sampler is vllm, which takes an adapter and not all weights: give lora_rank, say 16, "
            "or use sampler torch"
        )
    rank = next((known for known in LORA_RANKS if known >= peft.r), None)
    if rank is None:
        raise ValueError(f"lora_rank is {peft.r}: vllm takes at most {LORA_RANKS[-1]}")
    positions = min(policy.max_positions, config.max_prompt_tokens + config.max_new_tokens)
    rows = min(MAX_ROWS, config.max_batch, 3 * config.batch_size * config.num_attempts)
    options = {
        "model": find_model(peft.base_model_name_or_path),
        "skip_tokenizer_init": True,  # token ids go in and come out
        "generation_config": "vllm",  # not what the model's folder recommends
        # of the policy itself: before temperature and top_p, which our `Completion` promises
        "logprobs_mode": "raw_logprobs",
        "dtype": str(policy.dtype).removeprefix("torch."),
        "enable_lora": True,
        "max_loras": 1,
        "max_lora_rank": rank,
        "max_model_len": positions,
        "max_num_seqs": rows,
        "kv_cache_memory_bytes": cache_bytes(policy, rows, positions),
        "gpu_memory_utilization": 0.01,  # of no effect beside the line above but to be checked
        "enforce_eager": policy.device.type == "cpu",  # compiling would take a minute
        "seed": 0,
        "use_tqdm_on_load": False,
    }
    if config.sampler_quantize == "nf4":  # not seen to run: the plugin needs a GPU
        options |= {"quantization": "bitsandbytes", "load_format": "bitsandbytes"}
    return options


def cache_bytes(policy: Policy, rows: int, positions: int) -> int:
    """Bytes of vLLM's keys and values: for `rows` of full length, but at most a quarter of the
    GPU's free memory, where rows then wait for each other; always for two.
    """
    config = policy.model.config.get_text_config()
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * policy.dtype.itemsize
    on_gpu = policy.device.type == "cuda"
    most = torch.cuda.mem_get_info(policy.device)[0] // 4 if on_gpu else CPU_CACHE
    block = 128  # tokens: vLLM hands out whole blocks, at most of this size
    full = -(-positions // block) * block
    return token * max(2 * full, min(rows * full, most // token))
