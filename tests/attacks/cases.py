"""Every attack, by line of the suite: what is tried, what must come out, what is looked at."""

from attacks import system_calls
from attacks.writing import Attack, program

A = Attack
LIBC = "import ctypes\nc = ctypes.CDLL(None)\n"
SYS = "import collections\nsys = collections._sys\n"  # the static check lets some doors open
FRAMES = (
    "import sys\nframe = sys._getframe()\n"
    "while 'canonical' not in frame.f_locals: frame = frame.f_back\n"
)

TIME = [
    A("endless loop", "while True: pass", "timeout"),
    A("endless loop outside f", "return a", "timeout", before="while True: pass"),
    A("endless loop in C", "return sum(iter(int, 1))", "timeout"),
    A("long loop in C", "return sum(range(10 ** 12))", "timeout"),
    A("slow power", "return (7 ** 10 ** 8) % 10", "timeout"),
    A("slow text of an int", "return len(str(1 << 10 ** 6))", "error timeout"),
    A("slow pattern", "import re\nreturn re.match('(x+)+y', 'x' * 60)", "timeout"),
    A("catches everything",
      "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "timeout"),
    A("endless message", "raise E", "timeout",
      before="class E(Exception):\n  def __str__(s):\n    while 1: pass"),
    A("endless finaliser", "x = D()\ndel x\nreturn 1", "timeout",
      before="class D:\n  def __del__(s):\n    while 1: pass"),
    A("endless comparison in a sort", "return sorted([L(), L()])", "timeout",
      before="class L:\n  def __lt__(s, o):\n    while 1: pass"),
    A("endless hash", "return {H(): 1}", "timeout",
      before="class H:\n  def __hash__(s):\n    while 1: pass"),
    A("endless name of a type", "return M('X', (), {})()", "timeout output",
      before="class M(type):\n  @property\n  def __name__(s):\n    while 1: pass"),
    A("endless class body", "return 1", "timeout", before="class C:\n  while True: pass"),
    A("endless decorator", "return 1", "timeout",
      before="def d(g):\n  while True: pass\n@d\ndef h(): pass"),
    A("endless generator", "return list(g())", "timeout memory",
      before="def g():\n  while True: yield None"),
    A("yields the processor", "import os\nwhile True: os.sched_yield()", "timeout"),
    A("ends its clock", "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\nwhile 1: pass"),
    A("ignores its clock",
      "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nreturn 1"),
    A("handles its clock",
      LIBC + "c.signal(27, ctypes.c_void_p(1))\nwhile True: pass"),
    A("blocks its clock",
      "import signal\nsignal.pthread_sigmask(0, range(1, 30))\nreturn 1", "error"),
    A("raises its limit",
      "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (-1, -1))\nreturn 1"),
    A("sleeps", "import time\ntime.sleep(60)\nreturn 1"),
    A("waits for its own lock",
      "import _thread\nk = _thread.allocate_lock()\nk.acquire()\nreturn k.acquire()"),
    A("waits for a while",
      "import _thread\nk = _thread.allocate_lock()\nk.acquire()\nreturn k.acquire(timeout=30)"),
    A("waits behind the static check's back",
      SYS + "k = sys.modules['_thread'].allocate_lock()\nk.acquire()\nreturn k.acquire()"),
    A("reads a pipe that stays empty", "import os\nreturn os.read(3, 1)", "error"),
    A("stops itself", "import os\nos.kill(os.getpid(), 19)\nreturn 1", "unsafe error"),
    A("slow for one interpreter only",
      "if hash('a') % 2: return 1\nwhile True: pass", "timeout nondeterministic"),
    *system_calls.attacks("time"),
]  # fmt: skip

MEMORY = [
    A("big list", "return len([0] * 10 ** 9)", "memory", "memory"),
    A("growing list", "x = [a]\nwhile True: x = x + x", "memory timeout", "memory"),
    A("growing text", "x = 'ab'\nwhile True: x += x", "memory timeout", "memory"),
    A("many objects", "x = [[]]\nwhile True: x.append([x[-1]] * 1000)", "memory timeout", "memory"),
    A("keeps what it can", "x = []\nwhile True:\n    try: x.append(bytes(10 ** 6))\n"
      "    except MemoryError: pass", "timeout", "memory"),
    A("big int", "return 1 << 10 ** 11", "memory error", "memory"),
    A("big shift of a big int", "x = 1\nwhile True: x <<= 10 ** 7", "memory timeout", "memory"),
    A("wide padding", "return len('%*d' % (2 ** 31 - 2, a))", "memory error", "memory"),
    A("wide format", "return len(format(a, '2000000000d'))", "memory error", "memory"),
    A("deep tuple", "x = ()\nwhile True: x = (x,)", "memory timeout crash", "memory"),
    A("anonymous memory", LIBC + "c.mmap.restype = ctypes.c_void_p\n"
      "for i in range(99): c.memset(ctypes.c_void_p(c.mmap(None, 1 << 24, 3, 34, -1, 0)), 1, "
      "1 << 24)\nreturn 1", "crash timeout", "memory"),
    A("locked memory", LIBC + "c.mmap.restype = ctypes.c_void_p\n"
      "return c.mmap(None, 1 << 30, 3, 34 | 0x2000, -1, 0) == 2 ** 64 - 1", "ok", "memory",
      value="True"),
    A("growing mapping", LIBC + "c.mmap.restype = c.mremap.restype = ctypes.c_void_p\n"
      "m = c.mmap(None, 4096, 3, 34, -1, 0)\n"
      "return c.mremap(ctypes.c_void_p(m), 4096, ctypes.c_size_t(1 << 33), 1) == 2 ** 64 - 1",
      "ok", "memory", value="True"),
    A("growing heap", LIBC + "c.sbrk.restype = ctypes.c_void_p\n"
      "return c.sbrk(ctypes.c_size_t(1 << 30)) == 2 ** 64 - 1", "ok", "memory", value="True"),
    A("unbounded recursion", "import sys\nsys.setrecursionlimit(10 ** 9)\nreturn f(a)",
      "crash memory error timeout", "memory"),
    A("unbounded recursion in C", "import sys\nsys.setrecursionlimit(10 ** 9)\nx = []\n"
      "for _ in range(10 ** 6): x = [x]\nreturn repr(x)", "crash memory error timeout", "memory"),
    *system_calls.attacks("memory"),
]  # fmt: skip

OUTPUT = [
    A("long text", "return 'x' * 100_000", "output"),
    A("long list", "return list(range(100_000))", "output"),
    A("doubled lists", "x = [1]\nfor _ in range(45): x = [x, x]\nreturn x", "output"),
    A("cyclic list", "x = []\nx.append(x)\nreturn x", "output"),
    A("cyclic dict", "x = {}\nx[1] = x\nreturn x", "output"),
    A("deep list", "x = []\nfor _ in range(999): x = [x]\nreturn x", "output"),
    A("deep tuple", "x = ()\nfor _ in range(100_000): x = (x,)\nreturn x", "output"),
    A("deep key", "x = ()\nfor _ in range(99): x = (x,)\nreturn {x: 1}", "output"),
    A("long escapes", "return '\\x00' * 19_000", "output"),
    A("huge int", "return 10 ** 5000", "output"),
    A("huge int that may be printed",
      "import sys\nsys.set_int_max_str_digits(0)\nreturn 10 ** 5000", "output"),
    A("None", "pass", "output"),
    A("generator", "yield a", "output"),
    A("coroutine", "return g()", "output", before="async def g(): pass"),
    A("f is a coroutine", right="output", text="async def f(a):\n    return a"),
    A("function", "return f", "output"),
    A("object in a list", "return [object]", "output"),
    A("infinity inside", "return {'a': [1e999]}", "output"),
    A("complex", "return 1j", "output"),
    A("ellipsis", "return ...", "output"),
    A("frozen set", "return frozenset([1])", "output"),
    A("bytearray", "return bytearray(2)", "output"),
    A("range", "return range(3)", "output"),
    A("view of a dict", "return {1: 2}.items()", "output"),
    A("module", "import math\nreturn math", "output"),
    A("huge message", "raise ValueError('x' * 10 ** 6)", "error"),
    A("many lines in a message", "raise ValueError('\\nok 1\\n\\n' * 99)", "error"),
    A("flood", "import os\nwhile True: os.write(3, b'[' * 60_000)", "output", "descriptor memory"),
    A("flood in single bytes", "import os\nwhile True: os.write(3, b'[')", "timeout output",
      "memory"),
    A("flood of empty lines", "import os\nfor _ in range(60): os.write(3, b'\\n' * 60_000)\n"
      "os._exit(0)", "error", "memory"),
    A("flood of answers", "import os\nfor _ in range(60): os.write(3, b'ok 1\\n' * 12_000)\n"
      "os.write(3, b'\\n')\nos._exit(0)", "error", "memory"),
    A("one line of megabytes", "import os\nos.write(3, b'ok ' + b'1' * 3_900_000 + b'\\n\\n')\n"
      "os._exit(0)", "output", "memory"),
]  # fmt: skip

FILES = [
    A("reads with open", "return open('@canary_file@').read()", "error", "secret"),
    A("reads by descriptor",
      "import os\nreturn os.read(os.open('@canary_file@', 0), 99)", "error", "secret"),
    A("reads with C", LIBC + "return c.fopen(b'@canary_file@', b'r') == 0", "ok", "secret",
      value="True"),
    A("reads through the import system",
      "import importlib.util as u\nreturn u.spec_from_file_location('x', '@canary_file@')"
      ".loader.get_data('@canary_file@')", "error", "secret"),
    A("reads with linecache", "import linecache\nreturn linecache.getlines('@canary_file@')",
      "error ok", "secret", value="[]"),
    A("writes with open", "open('@harm_file@', 'w').write('x')\nreturn 1", "error", "file"),
    A("appends to a file", "open('@canary_file@', 'a').write('x')\nreturn 1", "error", "file"),
    A("creates by descriptor",
      "import os\nreturn os.open('@harm_file@', os.O_CREAT | os.O_WRONLY, 0o777)", "error", "file"),
    A("creates without a name",
      "import os\nreturn os.open('@folder@', os.O_TMPFILE | os.O_RDWR)", "error", "file"),
    A("symlink", "import os\nos.symlink('/', '@harm_file@')\nreturn 1", harm="file"),
    A("fifo", "import os\nos.mkfifo('@harm_file@')\nreturn 1", harm="file"),
    A("folder", "import os\nos.mkdir('@harm_file@')\nreturn 1", harm="file"),
    A("rename", "import os\nos.rename('@canary_file@', '@harm_file@')\nreturn 1", harm="file"),
    A("remove", "import os\nos.remove('@canary_file@')\nreturn 1", harm="file"),
    A("change mode", "import os\nos.chmod('@canary_file@', 0o777)\nreturn 1", harm="file"),
    A("cuts off", "import os\nos.truncate('@canary_file@', 0)\nreturn 1", "unsafe error", "file"),
    A("lists a folder", "import os\nreturn os.listdir('@folder@')", "error", "secret"),
    A("asks whether a file is there", "import os\nreturn os.path.exists('@canary_file@')", "ok",
      value="False"),
    A("where am I", "import os\nreturn os.getcwd()", "error"),
    A("own memory as a file", "return open('/proc/self/mem', 'r+b').write(b'x')", "error", "file"),
    A("own limits as a file", "open('/proc/self/oom_score_adj', 'w').write('1')", "error", "file"),
    A("device", "return open('/dev/zero', 'rb').read(9)", "error"),
    A("temporary file", "import tempfile\nreturn tempfile.mkstemp()[0]", "error", "file"),
    A("loads a library", "import ctypes\nreturn ctypes.CDLL('libresolv.so.2').abs(-1)", "error"),
    A("trace of a program as a file",
      "import faulthandler\nfaulthandler.enable(1)\nreturn 1", harm="descriptor"),
    *system_calls.attacks("files"),
]  # fmt: skip

ADDRESS = "import struct\naddress = struct.pack('=HHI8x', 2, @tcp_network_port@, 0x0100007F)\n"
NETWORK = [
    A("connects with TCP",
      "import socket\nsocket.create_connection(('127.0.0.1', @tcp_port@))\nreturn 1",
      "unsafe error", "network"),
    A("sends with UDP", "import socket\nsocket.socket(2, 2).sendto(b'x', ('127.0.0.1', @udp_port@))"
      "\nreturn 1", "unsafe error", "network"),
    A("connects with C", LIBC + ADDRESS + "c.connect(c.socket(2, 1, 0), address, 16)\nreturn 1",
      harm="network"),
    A("connects to a Unix socket", "import _socket\ns = _socket.socket(1, 1)\n"
      "s.connect('@unix_path@')\nreturn 1", "unsafe error", "network"),
    A("connects to an abstract Unix socket", "import _socket\ns = _socket.socket(1, 1)\n"
      "s.connect('\\0@abstract@')\nreturn 1", "unsafe error", "network"),
    A("adopts a descriptor as a socket", "import socket\nreturn socket.socket(fileno=3).send(b'x')",
      "error unsafe", "network descriptor"),
    A("asks for a name", LIBC + "return c.gethostbyname(b'localhost')", "unsafe ok crash",
      "network", value="0"),
    A("talks to the kernel", "import socket\nsocket.socket(16, 3, 0)\nreturn 1", "unsafe error",
      "network"),
    *system_calls.attacks("network"),
]  # fmt: skip

PROCESSES = [
    A("forks", "import os\nreturn os.fork()", harm="process"),
    A("fork bomb", "import os\nwhile True: os.fork()", harm="process"),
    A("system", "import os\nreturn os.system('touch @harm_file@')", harm="process file"),
    A("exec", "import os\nos.execv('/bin/true', ['true'])", harm="process"),
    A("spawn", "import os\nreturn os.posix_spawn('/bin/true', ['true'], {})", harm="process"),
    A("subprocess", "import subprocess\nreturn subprocess.call(['true'])", "unsafe error",
      "process"),
    A("multiprocessing", "import multiprocessing as m\nm.Process(target=int).start()\nreturn 1",
      "unsafe error", "process"),
    A("thread", "import _thread\nreturn _thread.start_new_thread(int, ())", "unsafe error",
      "process"),
    A("thread with C", LIBC + "t = ctypes.c_ulong()\n"
      "return c.pthread_create(ctypes.byref(t), 0, c.pause, 0)", "unsafe error crash", "process"),
    A("kills the trainer", "import os\nos.kill(@trainer@, 15)\nreturn 1", harm="process"),
    A("kills its parent", "import os\nos.kill(os.getppid(), 9)\nreturn 1", harm="process"),
    A("stops the zygote", "import os\nos.kill(@zygote@, 19)\nreturn 1", harm="process"),
    A("kills everyone", "import os\nos.kill(-1, 9)\nreturn 1", harm="process"),
    A("aims signals with fcntl", "import fcntl\nfcntl.fcntl(3, 8, @trainer@)\nreturn 1", "error",
      "process"),
    A("changes its user", "import os\nos.setuid(0)\nreturn 1", harm="process"),
    A("raises its priority", "import os\nos.nice(-5)\nreturn 1", "unsafe error", "process"),
    A("wild pointer", "import ctypes\nreturn ctypes.string_at(1)", "crash", "process"),
    A("aborts", LIBC + "c.abort()", "crash unsafe", "process"),
    A("runs off the stack", "import ctypes\nF = ctypes.CFUNCTYPE(int)\nreturn F(lambda: 1)()",
      "unsafe error ok", "process"),
    A("executable memory", LIBC + "c.mmap.restype = ctypes.c_void_p\n"
      "return c.mmap(None, 4096, 7, 34, -1, 0)", harm="process"),
    A("makes its own memory executable", LIBC + "b = ctypes.create_string_buffer(8192)\n"
      "p = ctypes.addressof(b) & -4096\n"
      "return c.mprotect(ctypes.c_void_p(p), 4096, 7)", harm="process"),
    A("calls of another architecture", LIBC + "return c.syscall(0x40000000 + 39)",
      harm="process"),
    *system_calls.attacks("processes"),
]  # fmt: skip

CONTAMINATION = [
    A("changes a constant", "import math\nmath.pi = 3\nreturn a", "ok", value="1"),
    A("changes a function", "import math\nmath.floor = lambda x: 99\nreturn a", "ok",
      value="1"),
    A("changes a built-in",
      "import builtins\nbuiltins.len = lambda x: 99\nreturn a", "ok", value="1"),
    A("removes a built-in",
      "import builtins\nbuiltins.sorted = None\nreturn a", "ok error", value="1"),
    A("changes repr", "import builtins\nbuiltins.repr = lambda x: '7'\nreturn a", "ok",
      value="7"),
    A("forgets all modules", "import sys\nsys.modules.clear()\nreturn a", "ok error",
      value="1"),
    A("replaces its own module",
      "import sys\nsys.modules['program'] = 1\nreturn a", "ok", value="1"),
    A("lowers the recursion limit",
      "import sys\nsys.setrecursionlimit(30)\nreturn a", "ok error", value="1"),
    A("empties namespaces", "import gc\nfor o in gc.get_objects():\n"
      "  if type(o) is dict: o.pop('canonical', 0)\nreturn a", "ok error", value="1"),
    A("breaks the encoder", "import json\njson.dumps = lambda x: '[]'\nreturn a", "ok",
      value="1"),
    A("changes a small int", "import ctypes\nctypes.memset(id(1) + 24, 2, 1)\nreturn 7",
      "ok error crash output",
      value="7"),
    A("changes an empty tuple", "import ctypes\nctypes.memset(id(()) + 16, 9, 1)\nreturn 7",
      "ok error crash",
      value="7"),
    A("changes a type's table", "import ctypes, gc\n"
      "d = gc.get_referents(int.__dict__)[0]\nd['real'] = 7\nreturn (5).real",
      "ok crash error", value="7"),
    A("interns a lie", "import sys, ctypes\ns = sys.intern('azr_lie')\n"
      "ctypes.memset(id(s) + 40, 66, 7)\nreturn 1", "ok error crash", value="1"),
    A("changes the decimal context", "import decimal\ndecimal.getcontext().prec = 2\nreturn a",
      "ok", value="1"),
    A("changes the locale", "import locale\nlocale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
      "return a", "error"),
    A("seeds random", "import random\nrandom.seed(a)\nreturn a", "ok error", value="1"),
    A("registers a lying subclass", "from collections import abc, Counter\n"
      "class M(type(abc.Mapping)):\n  def __hash__(s): return hash(list)\n"
      "  def __eq__(s, o): return True\nclass L(metaclass=M): pass\nabc.Mapping.register(L)\n"
      "isinstance(L(), abc.Mapping)\nreturn a", "ok error", value="1"),
    A("poisons the cache of patterns", "import re\nre._cache.clear()\n"
      "re._cache[(str, 'b', 0)] = re.compile('x')\nreturn a", "ok", value="1"),
    A("leaves a trace function", "import sys\nsys.settrace(lambda *_: 1 / 0)\nreturn a",
      "ok error", value="1"),
    A("leaves a profile function",
      "import sys\nsys.setprofile(lambda *_: None)\nreturn a", "ok", value="1"),
    A("leaves work for the end",
      "import atexit\natexit.register(print, 1)\nreturn a", "ok", value="1"),
    A("leaves an object that fights", "global d\nd = D()\nreturn a", "ok", value="1",
      before="class D:\n  def __del__(s): raise SystemExit"),
    A("leaves a running generator", "global g\ng = h()\nnext(g)\nreturn a", "ok",
      value="1", before="def h():\n  try: yield 1\n  finally: h.x = list(range(9))"),
    A("fills the memory and leaves",
      "global x\nx = [[] for _ in range(10 ** 5)]\nreturn a", "ok", value="1"),
    A("searches the memory for other programs", "import ctypes, re\nn = 400_000\n"
      "s = ctypes.CDLL(None).sbrk\ns.restype = ctypes.c_void_p\n"
      "text = ctypes.string_at(s(ctypes.c_long(0)) - n, n)\n"
      "return [m.decode() for m in re.findall(b'nee' + b'dle-\\\\d+', text)]", "ok crash",
      "secret", value="[]"),
    A("searches the objects for other programs", "import gc, sys\n"
      "found = repr(gc.get_objects()) + repr(sys._getframe(3).f_locals)\n"
      "return ''.join(['needle', str(-21)]) in found", "ok error timeout", value="False"),
]  # fmt: skip

COUNTING = ("1", "2", "3")
DETERMINISM = [
    A("order of a set", "return list({'a', 'b', 'c', 'd', 'e'})", "nondeterministic"),
    A("order of a set of arguments", "return list(set(a * 2))", "nondeterministic",
      inputs=("'abcdefgh'",)),
    A("order of keys", "d = dict.fromkeys('abcdefg')\nreturn list(d.keys() & set('abcdefgh'))",
      "nondeterministic"),
    A("popped from a set", "return [set('abcdefgh').pop() for _ in range(3)]", "nondeterministic"),
    A("text of a set", "return str(set('abcdefgh'))", "nondeterministic"),
    A("hash", "return hash('a')", "nondeterministic"),
    A("parity of hashes", "return [hash(c) % 2 for c in 'abcdefgh']", "nondeterministic"),
    A("hash of bytes", "return hash(b'a')", "nondeterministic"),
    A("address", "return id(object())", "nondeterministic"),
    A("address in text", "return repr(object())", "nondeterministic"),
    A("function in text", "return str(f)", "nondeterministic"),
    A("hash of an object", "return hash(f)", "nondeterministic"),
    A("random", "import random\nreturn random.random()", "nondeterministic error"),
    A("random behind the static check's back",
      "import statistics\nreturn statistics.random.random()", "nondeterministic error"),
    A("random bytes", "import os\nreturn os.urandom(8)", "error"),
    A("time", "import time\nreturn time.time()", "nondeterministic"),
    A("processor time", "import time\nreturn time.process_time_ns()", "nondeterministic unsafe"),
    A("clock", "import time\nreturn time.perf_counter_ns()", "nondeterministic"),
    A("hash seed", "import os\nreturn os.environ['PYTHONHASHSEED']", "nondeterministic"),
    A("process id", "import os\nreturn os.getpid()", "ok", value="-1"),
    A("parent process", "import os\nreturn os.getppid()"),
    A("counts its calls", "global n\nn += 1\nreturn n", "nondeterministic", before="n = 0",
      inputs=COUNTING),
    A("counts in an attribute", "f.n = getattr(f, 'n', 0) + 1\nreturn f.n", "nondeterministic",
      inputs=COUNTING),
    A("counts in a default", right="nondeterministic", inputs=COUNTING,
      text="def f(a, b=[]):\n    b.append(a)\n    return b"),
    A("counts in a closure", right="nondeterministic", inputs=COUNTING,
      text="def g():\n    n = [0]\n    def h(a):\n        n[0] += 1\n        return n[0]\n"
      "    return h\nf = g()\ndef g():\n    def f(a): pass"),
    A("counts in a module", "import math\nmath.n = getattr(math, 'n', 0) + 1\nreturn math.n",
      "nondeterministic", inputs=COUNTING),
    A("counts in a generator", "return next(g)", "nondeterministic", inputs=COUNTING,
      before="g = iter(range(9))"),
    A("counts in a class", "C.n += 1\nreturn C.n", "nondeterministic", inputs=COUNTING,
      before="class C:\n  n = 0"),
]  # fmt: skip

LIARS = {
    "equals everything": "class L:\n  def __eq__(self, o): return True\n  __hash__ = None",
    "an int that lies": "class L(int):\n  def __eq__(s, o): return True\n  __hash__ = int.__hash__",
    "a str that lies": "class L(str):\n  def __repr__(self): return '1'",
    "a list that lies": "class L(list):\n  def __repr__(self): return '[1]'",
    "a dict that lies": "class L(dict):\n  def items(self): return [(1, 1)]",
    "a float that lies": "class L(float):\n  def __repr__(self): return '1.0'",
    "a tuple that lies": "class L(tuple):\n  def __len__(self): return 1",
    "an int by enumeration": "import enum\nclass E(enum.IntEnum):\n  A = 1\ndef L(): return E.A",
    "a named tuple": "import collections\nclass L(collections.namedtuple('P', 'x')): pass\n"
    "L.__new__.__defaults__ = (1,)",
    "a type that lies": "class M(type):\n  __name__ = 'int'\nclass L(metaclass=M): pass",
    "a class that lies": "class L:\n  @property\n  def __class__(self): return int",
}
EQUALITY = [
    A(name, "return L()", "output", before=before) for name, before in LIARS.items()
] + [
    A(f"{name}, inside", "return [{'a': (1, L())}]", "output", before=before)
    for name, before in LIARS.items()
] + [
    A("a key that lies", "return {L(): 1}", "output", before=LIARS["an int that lies"]),
    A("not a number", "return float('nan')", "output"),
    A("not a number in a key", "return {float('nan'): 1}", "output"),
    A("minus zero", "return -0.0", "ok", value="0.0"),
    A("minus zero inside", "return {(-0.0,): [-0.0]}", "ok", value="{(0.0,): [0.0]}"),
    A("a bool is no int", "return [True, 1, 1.0, False, 0]", "ok",
      value="[True, 1, 1.0, False, 0]"),
    A("equal keys", "return [{1: 'a', True: 'b'}, {0.0, False}]", "ok", value="[{1: 'b'}, {0.0}]"),
    A("order in a set does not count", "return {3, 1, 2}", "ok", value="{1, 2, 3}"),
    A("order in a dict does not count", "return {'b': 1, 'a': 2}", "ok",
      value="{'a': 2, 'b': 1}"),
]  # fmt: skip

DEEP = {
    "deep minus": "return " + "-" * 15_000 + "1",
    "deep not": "return " + "not " * 4_000 + "1",
    "deep sum": "return " + "1+" * 9_000 + "1",
    "deep attributes": "return a" + ".a" * 9_000,
    "deep calls": "return a" + "()" * 9_000,
    "deep lambdas": "return " + "lambda:" * 2_500 + "1",
    "deep lists": "return " + "[" * 90 + "]" * 90,
    "deep brackets": "return " + "(" * 5000 + ")" * 5000,
    "deep conditions": "return " + "1 if a else " * 1_500 + "2",
    "deep comparisons": "return " + "1<" * 9_000 + "1",
    "many strings": "return " + "'a' " * 4_000,
    "deep f-strings": "return f'{a:{a:{a}}}' + f'" + "{a}" * 4_000 + "'",
    "deep tabs": "\t" * 150 + "return 1",
    "deep blocks": "".join(f"{' ' * i}if a:\n    " for i in range(95)) + " " * 95 + "return 1",
    "deep blank brackets": "return " + "[a for a in " * 90 + "a" + "]" * 90,
}
HOSTILE_TEXT = [
    A(name, right="ok syntax error output memory crash timeout", text=f"def f(a):\n    {body}\n",
      harm="memory")
    for name, body in DEEP.items()
] + [
    A("NUL", "return '\0'", "syntax"),
    A("NUL in an answer", "return '\\0\\n\\r\\x1b'", "ok", value=r"'\x00\n\r\x1b'"),
    A("lone surrogate", "return '\ud800'", "syntax"),
    A("lone surrogate in an answer", "return '\\ud800'", "ok", value=r"'\ud800'"),
    A("lone surrogate in a message", "raise ValueError('\\ud800' * 500)", "error"),
    A("colours in a message", "raise ValueError('\\x1b[31m\\n' * 99)", "error"),
    A("line separators in an answer", "return '\\u2028\\x85\\x0c'", "ok",
      value=r"'\u2028\x85\x0c'"),
    A("megabytes", "return 1", "syntax", text=program("return 1") + "#" * 10_000_000),
    A("too many digits", "return " + "9" * 5000, "syntax"),
    A("huge hexadecimal", "return 0x" + "f" * 15_000, "output"),
    A("constant that folds", "return 2 ** 9 ** 9 ** 9", "timeout memory error"),
    A("text that folds", "return 'x' * 9 ** 9 * 9 ** 9", "memory error"),
    A("encoding line", "return 'é'", "ok", before="# -*- coding: latin-1 -*-", value="'é'"),
    A("form feed and carriage return", text="def f(a):\r\n\x0c\treturn a\r", right="ok", value="1"),
    A("null input text", "return 1", "input", inputs=("\0",)),
    A("deep input", "return 1", "input", inputs=("[" * 9_000,)),
    A("huge int as input", "return 1", "input", inputs=("1" * 5_000,)),
    A("megabytes of input", "return 1", "input", inputs=("1" * 10_000_000,)),
    A("lone surrogate as input", "return 1", "input", inputs=("'\ud800'",)),
]  # fmt: skip

SMUGGLED = ["0) or (1", "1)(2", "3)#", "3)\n#", "a=3", "*[1]", "**{}", "x", "f(1)", "1e999", "1j"]
SMUGGLED += ["__import__('os')", "1 for x in [1]", "lambda: 1", "f'{1}'", "(yield)", "x := 3"]
JUDGE = [
    A(f"input {text!r}", "return 1", "input", inputs=(text,)) for text in SMUGGLED
] + [
    A("answers twice", "import os\nos.write(3, b'ok 42\\n\\n')\nreturn 7", "error"),
    A("two complete answers", "import os\nos.write(3, b'ok 42\\n\\nok 42\\n\\n')\nos._exit(0)",
      "error"),
    A("too many outcomes", "import os\nos.write(3, b'ok 42\\nok 42\\n\\n')\nos._exit(0)", "error"),
    A("too few outcomes", "import os\nos.write(3, b'ok 42\\n\\n')\nos._exit(0)", "error",
      inputs=("1", "2")),
    A("empty lines in the answer", "import os\nos.write(3, b'\\nok 42\\n\\n')\nos._exit(0)",
      "error"),
    A("half an answer", "import os\nos.write(3, b'ok 42\\n')\nos._exit(0)", "error"),
    A("answer in pieces", "import os\nfor c in b'ok 42\\n\\n': os.write(3, bytes([c]))\n"
      "os._exit(0)", "ok", value="42"),
    A("forged answer", "import os\nos.write(3, b'ok 42\\n\\n')\nos._exit(0)", "ok", value="42"),
    A("forged verdict", "import os\nos.write(3, b'correct 1\\n\\n')\nos._exit(0)", "error"),
    A("forged timeout", "import os\nos.write(3, b'timeout 1\\n\\n')\nos._exit(0)", "error"),
    A("forged code", "import os\nos.write(3, b'ok __import__(1)\\n\\n')\nos._exit(0)", "output"),
    A("forged object", "import os\nos.write(3, b'ok L(1)\\n\\n')\nos._exit(0)", "output"),
    A("forged bracket", "import os\nos.write(3, b'ok 1) or (1\\n\\n')\nos._exit(0)", "output"),
    A("forged spelling", "import os\nos.write(3, b'ok {2,1,  0x1}\\n\\n')\nos._exit(0)", "ok",
      value="{1, 2}"),
    A("forged bytes", "import os\nos.write(3, b'ok \\xff\\xfe\\n\\n')\nos._exit(0)", "output"),
    A("forged JSON", "import os\nos.write(3, b'{\"id\": 1, \"end\": \"\"}\\n')\nos._exit(0)",
      "error"),
    A("deep answer", "import os\nos.write(3, b'ok ' + b'[' * 9_999 + b'\\n\\n')\nos._exit(0)",
      "output"),
    A("silent exit", "import os\nos._exit(0)", "error"),
    A("exit status", "import os\nos._exit(1)", "error"),
    A("leaves by exception", "raise SystemExit(0)", "error"),
    A("leaves by interrupt", "raise KeyboardInterrupt", "error"),
    A("message like an answer", "raise Exception('\\nok 1\\n\\n')", "error"),
    A("message that lies", "raise E", "error",
      before="class E(Exception):\n  def __str__(s): return 3"),
    A("message of a lying type", "raise E", "error",
      before="class S(str):\n  def __getitem__(s, i): raise SystemExit\n"
      "class E(Exception):\n  def __str__(s): return S('x')"),
    A("permissive object", "return P()", "output",
      before="class P:\n  def __getattr__(s, n): return s\n  def __call__(s, *a): return s\n"
      "  def __eq__(s, o): return True\n  def __iter__(s): return iter([])\n"
      "  def __len__(s): return 0\n  def __str__(s): return '1'\n  def __repr__(s): return '1'"),
    A("name of a type like an answer", "return type('x\\nok 1\\n\\n', (), {})()", "output"),
    A("changes the writer", FRAMES + "frame.f_locals['canonical'].__code__ = (lambda v: '7')"
      ".__code__\nreturn object()", "ok error", value="7"),
    A("changes the loaded modules", "import sys, gc\nfor m in gc.get_objects():\n"
      "  if type(m) is dict and 'run_programs' in m: m['describe'] = m['one_line'] = str\n"
      "return a", "ok error", value="1"),
    A("changes compile and sorted", "import builtins\nbuiltins.compile = builtins.sorted = "
      "lambda *a, **k: []\nreturn {2, 1}", "ok output error", value="{}"),
    A("changes isinstance", "import builtins\nbuiltins.isinstance = lambda *a: True\nreturn L()",
      "output", before=LIARS["an int that lies"]),
    A("alters earlier outcomes", FRAMES + "import gc\nfor o in gc.get_objects():\n"
      "  if type(o) is list and o and type(o[0]) is tuple and o[0] == ('ok', '1'): o[0] = "
      "('ok', '9')\nreturn a", "error nondeterministic timeout", inputs=("1", "2")),
    A("looks at all inputs", FRAMES + "return sorted(frame.f_back.f_locals['inputs'])",
      "ok error", inputs=("2", "1"), value="['1', '2']"),
    A("finds the expected answer", FRAMES + "out = []\nwhile frame:\n"
      "  out.append([*map(str, frame.f_locals)])\n  frame = frame.f_back\n"
      "return any('expected' in n or 'reference' in n for n in sum(out, []))", "ok error",
      value="False"),
    A("changes its argument", "a.append(1)\nreturn a", "ok", inputs=("[0]", "[0]"),
      value="[0, 1]"),
    A("f is a class", right="output syntax", text="class f:\n    def __init__(self, a): pass"),
    A("f is a built-in", right="syntax output", text="f = print"),
    A("f is a partial", right="syntax ok", value="1",
      text="from functools import partial\nf = partial(max, 1)"),
    A("f is an object", right="output ok", value="1",
      text="class F:\n    def __call__(self, a): return a\ndef f(a): pass\nf = F()"),
    A("f is replaced by a decorator", "return a", "syntax error output",
      text="def d(g):\n    return 3\n@d\ndef f(a):\n    return a"),
    A("f is removed", right="syntax", text="def f(a): return a\ndel f"),
    A("f is nested", right="syntax", text="def g():\n    def f(a):\n        return a"),
    A("excepthook", "import sys\nsys.excepthook = lambda *_: print('ok 1')\nraise ValueError",
      "error"),
    A("another display of exceptions", "raise E()", "error",
      before="class M(type):\n  __name__ = property(lambda s: 'ok 1')\n"
      "class E(Exception, metaclass=M): pass"),
    A("monitors the judge", "import sys\nm = sys.monitoring\nm.use_tool_id(1, 'x')\n"
      "m.register_callback(1, m.events.PY_RETURN, lambda *_: None)\n"
      "m.set_events(1, m.events.PY_RETURN)\nreturn a", "ok error", value="1"),
    A("walks out through a class pattern", "match f:\n    case object(__globals__=g):\n"
      "        return sorted(g)[-1]", "ok", value="'f'"),
    A("walks out through a name bound elsewhere", "return exec('1') or a", "ok", value="1",
      before="def g(exec): pass"),
    A("walks out through a module", SYS + "return 'os' in sys.modules", "ok", value="True"),
]  # fmt: skip

SECRET = [
    A("environment", "import os\nreturn sorted(set(os.environ) - {'LC_CTYPE'})", "ok", "secret",
      value="['LC_ALL', 'PYTHONHASHSEED']"),
    A("environment with C", LIBC + "return c.getenv(b'@secret_name@')", "ok", "secret",
      value="0"),
    A("environment of the trainer", "return open('/proc/@trainer@/environ').read()", "error",
      "secret"),
    A("environment as a file", "return open('/proc/self/environ').read()", "error", "secret"),
    A("command line of the trainer", "return open('/proc/@trainer@/cmdline').read()", "error",
      "secret"),
    A("memory of the trainer", "return open('/proc/@trainer@/mem', 'rb').read(1)", "error",
      "secret"),
    A("all objects", "import gc\nreturn repr([o for o in gc.get_objects() if type(o) is dict])"
      "[:9000]", "ok error timeout nondeterministic output", "secret"),
    A("all frames", "import sys\nreturn repr(sys._getframe(2).f_locals)[:9000]",
      "ok error nondeterministic output", "secret"),
    A("command line", "import sys\nreturn repr(sys.orig_argv)[:9000]", "ok", "secret"),
    A("variables in C", "import ctypes\nreturn str(ctypes.cast(ctypes.c_char_p.in_dll("
      "ctypes.pythonapi, 'Py_Version'), ctypes.c_char_p))", "ok error crash nondeterministic",
      "secret"),
    A("the stack", "import ctypes\nx = ctypes.c_int()\nreturn str(ctypes.string_at("
      "ctypes.addressof(x) - 4096, 4096))", "ok error crash nondeterministic", "secret"),
    *system_calls.attacks("secret"),
]  # fmt: skip

DESCRIPTOR = [
    A(f"writes to {fd}", f"import os\nos.write({fd}, b'x')\nreturn 1", harm="descriptor")
    for fd in (0, 1, 2, 4, 5, 255, 1000)
] + [
    A("prints", "print('ok 1', flush=True)\nreturn a", "ok", "descriptor", value="1"),
    A("prints with C", LIBC + "c.puts(b'ok 1')\nc.fflush(None)\nreturn 1", "unsafe error ok",
      "descriptor", value="1"),
    A("writes to sys.__stdout__", "import sys\nsys.__stdout__.write('x')\nreturn 1", "error",
      "descriptor"),
    A("writes to every descriptor",
      "import os\nfor fd in range(4, 300): os.write(fd, b'ok 1\\n\\n')\nreturn 1",
      harm="descriptor"),
    A("reads every descriptor", "import os\nout = []\nfor fd in range(300):\n  try:\n"
      "    out.append(os.read(fd, 9))\n  except OSError: pass\nreturn out", "ok", "descriptor",
      value="[]"),
    A("controls the pipe", "import fcntl\nfcntl.fcntl(3, 1031, 1 << 20)\nreturn 1", "error",
      "descriptor"),
    A("closes the pipe", "import os\nos.close(3)\nreturn 1", "error", "descriptor"),
    A("opens the terminal", "return open('/dev/tty', 'w').write('x')", "error", "descriptor"),
    A("warns", "import warnings\nwarnings.simplefilter('always')\nwarnings.warn('x')\nreturn a",
      "ok", "descriptor", value="1"),
    A("dumps a traceback", "import faulthandler\nfaulthandler.dump_traceback(2)\nreturn 1",
      "unsafe error", "descriptor"),
    *system_calls.attacks("descriptor"),
]  # fmt: skip

LINES = {
    "time": TIME,
    "memory": MEMORY,
    "output": OUTPUT,
    "files": FILES,
    "network": NETWORK,
    "processes": PROCESSES,
    "contamination between programs": CONTAMINATION,
    "determinism": DETERMINISM,
    "equality": EQUALITY,
    "hostile text": HOSTILE_TEXT,
    "judge attacks": JUDGE,
    "a secret in the environment": SECRET,
    "the wrong descriptor": DESCRIPTOR,
}
