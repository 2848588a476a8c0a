"""What the trainer asks of a confined process and what it hears back."""

from dataclasses import dataclass, field

ADVICE = (
    "use Linux, WSL2 or Docker on x86-64 or arm64, or pass unsafe=True to run programs unconfined "
    "at your own risk"
)


class SandboxError(RuntimeError):
    """Programs cannot be run confined here; the message says what to do."""


@dataclass(eq=False)
class Request:
    """Some programs, each with its inputs, for one process under the given hash seed."""

    seed: int
    programs: list[tuple[str, list[str]]] | None  # None asks which layers are active
    cpu_seconds: float
    wall_seconds: float
    reverse: bool = False
    cases: list = field(default_factory=list)  # whose programs these are
    deaths: int = 0  # zygotes that died over it

    def to_json(self) -> dict:
        """What the process gets to see: never an expected answer."""
        return {
            "programs": self.programs,
            "reverse": self.reverse,
            "cpu": self.cpu_seconds,
        }


@dataclass(frozen=True)
class Reply:
    """How the process of one request ended. `payload` is what it wrote: hostile text."""

    end: str  # "" by itself, or "wall", "flood", "memory", "died"
    signal: int = 0
    cpu: float = 0.0  # seconds
    payload: str = ""
