"""A few lines of each language, with what is to be found in them; HIDDEN is in bodies only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A text; names that it defines, how many imports it has, and what an outline shows."""

    text: str
    names: tuple[str, ...] = ()
    imports: int = 0
    shown: tuple[str, ...] = ()


SOURCES = {
    "python": Sample(
        "import os\n"
        "from a import b\n"
        "\n"
        "X = 1\n"
        "\n"
        "# about A\n"
        "@deco\n"
        "class A(B):\n"
        '    """doc"""\n'
        "    y: int = 1\n"
        "\n"
        "    def m(self):\n"
        "        HIDDEN\n"
        "        b\n"
        "        return 1\n"
        "\n"
        "async def f(\n"
        "    x,\n"
        "):\n"
        "    HIDDEN\n"
        "    b\n"
        "    c\n",
        names=("A", "m", "f"),
        imports=2,
        shown=("# about A\n@deco", "    def m(self):"),
    ),
    "javascript": Sample(
        'import a from "a";\n'
        "\n"
        "/** doc */\n"
        "export class A {\n"
        "  m() {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n"
        "export const g = async (x) => {\n"
        "  HIDDEN;\n"
        "  b;\n"
        "};\n"
        "export default function f() {\n"
        "  HIDDEN;\n"
        "  b;\n"
        "}\n",
        names=("A", "m", "f", "g"),
        imports=1,
        shown=("export const g = async (x) => {\n[...", "/** doc */"),
    ),
    "typescript": Sample(
        'import a from "a";\n'
        "export interface I {\n"
        "  x: number;\n"
        "  y: string;\n"
        "}\n"
        "export class A {\n"
        "  m(): void {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n"
        "namespace N {\n"
        "  function f() {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n",
        names=("I", "A", "m", "N", "f"),
        imports=1,
        shown=("  x: number;", "  m(): void {"),
    ),
    "java": Sample(
        "package a;\n"
        "import b;\n"
        "public class A {\n"
        "  int x;\n"
        "  @Override\n"
        "  public int m() {\n"
        "    HIDDEN();\n"
        "    b();\n"
        "  }\n"
        "}\n",
        names=("A", "m"),
        imports=2,
        shown=("  @Override\n  public int m() {\n[...",),
    ),
    "go": Sample(
        "package main\n"
        "\n"
        "import (\n"
        '\t"fmt"\n'
        ")\n"
        "\n"
        "// T is\n"
        "type T struct {\n"
        "\tx int\n"
        "\ty int\n"
        "}\n"
        "\n"
        "func (t *T) M() int {\n"
        "\tHIDDEN()\n"
        "\tb()\n"
        "\treturn 1\n"
        "}\n",
        names=("T", "M"),
        imports=2,
        shown=("// T is", "func (t *T) M() int {\n[..."),
    ),
    "rust": Sample(
        "use a::b;\n"
        "\n"
        "/// doc\n"
        "#[derive(X)]\n"
        "struct S {\n"
        "    x: i32,\n"
        "}\n"
        "\n"
        "impl S {\n"
        "    fn m(&self) -> i32 {\n"
        "        HIDDEN();\n"
        "        b();\n"
        "        1\n"
        "    }\n"
        "}\n",
        names=("S", "m"),
        imports=1,
        shown=("/// doc\n#[derive(X)]", "    fn m(&self) -> i32 {\n[..."),
    ),
    "c": Sample(
        "#include <a.h>\n"
        "\n"
        "struct s {\n"
        "  int x;\n"
        "  int y;\n"
        "};\n"
        "\n"
        "static int *f(struct s *p)\n"
        "{\n"
        "  HIDDEN();\n"
        "  b();\n"
        "  return 1;\n"
        "}\n",
        names=("s", "f"),
        imports=1,
        shown=("static int *f(struct s *p)\n{\n[...",),
    ),
    "cpp": Sample(
        "#include <a>\n"
        "namespace n {\n"
        "template <class T>\n"
        "class A : B {\n"
        " public:\n"
        "  int m() const {\n"
        "    HIDDEN();\n"
        "    b();\n"
        "  }\n"
        "};\n"
        "}\n"
        "int A::f() {\n"
        "  HIDDEN();\n"
        "  b();\n"
        "}\n",
        names=("n", "A", "m", "f"),
        imports=1,
        shown=("template <class T>", "int A::f() {\n[..."),
    ),
    "csharp": Sample(
        "using A;\n"
        "namespace N {\n"
        "  class C {\n"
        "    int P { get; set; }\n"
        "    int M() {\n"
        "      HIDDEN();\n"
        "      b();\n"
        "    }\n"
        "  }\n"
        "}\n",
        names=("N", "C", "M"),
        imports=1,
        shown=("    int M() {\n[...",),
    ),
    "ruby": Sample(
        'require "a"\n'
        "module M\n"
        "  class A\n"
        "    def m(x)\n"
        "      HIDDEN\n"
        "      b\n"
        "    end\n"
        "  end\n"
        "end\n",
        names=("M", "A", "m"),
        imports=0,
        shown=("    def m(x)\n[...",),
    ),
    "php": Sample(
        "<?php\n"
        "use A\\B;\n"
        "class A {\n"
        "  function m() {\n"
        "    HIDDEN();\n"
        "    b();\n"
        "  }\n"
        "}\n"
        "function f() {\n"
        "  HIDDEN();\n"
        "  b();\n"
        "}\n",
        names=("A", "m", "f"),
        imports=1,
        shown=("function f() {\n[...",),
    ),
    "kotlin": Sample(
        "import a.b\nclass A {\n  fun m(): Int {\n    HIDDEN()\n    b()\n  }\n}\n",
        names=("A", "m"),
        imports=1,
        shown=("  fun m(): Int {\n[...",),
    ),
    "swift": Sample(
        "import A\n"
        "class A {\n"
        "  func m() -> Int {\n"
        "    HIDDEN()\n"
        "    b()\n"
        "  }\n"
        "}\n"
        "struct S {\n"
        "  var x: Int\n"
        "}\n",
        names=("A", "m", "S"),
        imports=1,
        shown=("  var x: Int",),
    ),
    "scala": Sample(
        "import a.b\nobject O {\n  def m(x: Int): Int = {\n    HIDDEN()\n    b()\n  }\n}\n",
        names=("O", "m"),
        imports=1,
        shown=("  def m(x: Int): Int = {\n[...",),
    ),
    "lua": Sample(
        'local a = require("a")\n'
        "function M.f(x)\n"
        "  HIDDEN()\n"
        "  b()\n"
        "end\n"
        "local function g()\n"
        "  HIDDEN()\n"
        "  b()\n"
        "end\n",
        names=("f", "g"),
        imports=0,
        shown=("local function g()\n[...",),
    ),
    "shellscript": Sample(
        "f() {\n  HIDDEN\n  b\n}\n",
        names=("f",),
        imports=0,
        shown=("f() {\n[...",),
    ),
    "sql": Sample(
        "CREATE TABLE t (\n  HIDDEN INT,\n  b INT,\n  c INT\n);\n",
        names=("t",),
        imports=0,
        shown=("CREATE TABLE t (\n[...",),
    ),
    "css": Sample(
        ".a {\n  HIDDEN: red;\n  b: c;\n}\n",
        names=(".a",),
        imports=0,
        shown=(".a {\n[...",),
    ),
    "html": Sample(
        "<html>\n<body>\n<script>\nHIDDEN();\nb();\n</script>\n<p>x</p>\n</body>\n</html>\n",
        names=(),
        imports=0,
        shown=("<script>\n[...", "<p>x</p>"),
    ),
    "json": Sample(
        '{\n  "a": {\n    "HIDDEN": 1,\n    "c": 2\n  },\n  "d": 1\n}\n',
        names=("a",),
        imports=0,
        shown=('  "a": {\n[...', '  "d": 1'),
    ),
    "yaml": Sample(
        "a:\n  HIDDEN: 1\n  c: 2\nd: 1\n",
        names=("a",),
        imports=0,
        shown=("a:\n[...", "d: 1"),
    ),
    "toml": Sample(
        "x = 1\n[a]\nHIDDEN = 1\nc = 2\n",
        names=("a",),
        imports=0,
        shown=("[a]\n[...",),
    ),
    "markdown": Sample(
        "# A\n\ntext one\nHIDDEN two\ntext three\n\n## B\n\nmore\n\n```\na\nb\nc\n```\n",
        names=("A", "B"),
        imports=0,
        shown=("## B",),
    ),
    "typescriptreact": Sample(
        'import a from "a";\n'
        "export interface I {\n"
        "  x: number;\n"
        "  y: string;\n"
        "}\n"
        "export class A {\n"
        "  m(): void {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n"
        "namespace N {\n"
        "  function f() {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n",
        names=("I", "A", "m", "N", "f"),
        imports=1,
        shown=("  x: number;",),
    ),
    "javascriptreact": Sample(
        'import a from "a";\n'
        "\n"
        "/** doc */\n"
        "export class A {\n"
        "  m() {\n"
        "    HIDDEN;\n"
        "    b;\n"
        "  }\n"
        "}\n"
        "export const g = async (x) => {\n"
        "  HIDDEN;\n"
        "  b;\n"
        "};\n"
        "export default function f() {\n"
        "  HIDDEN;\n"
        "  b;\n"
        "}\n",
        names=("A", "m", "f", "g"),
        imports=1,
        shown=("  m() {",),
    ),
}
