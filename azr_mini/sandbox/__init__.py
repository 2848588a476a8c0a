"""Confined execution of model-written programs."""

from azr_mini.sandbox.cases import Job, Result
from azr_mini.sandbox.executor import Executor
from azr_mini.sandbox.protocol import SandboxError

__all__ = ["Executor", "Job", "Result", "SandboxError"]
