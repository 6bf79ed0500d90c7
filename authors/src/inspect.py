"""Reads Python files given on stdin, and runs nothing of them.

Input: a line with the mode (lint or docs), then for each file a line "PATH-BYTES TEXT-BYTES" and
those bytes. Output: one line of JSON for each file, in order, as soon as it was read.
"""

import ast
import json
import sys
import warnings

MAX_DEFAULT = 60


def problems(path, text):
    found = []
    name = path.split("/")[1].rsplit(".py", 1)[0] if path.count("/") >= 1 else ""
    own = getattr(sys, "stdlib_module_names", None) or sys.builtin_module_names
    if path.startswith("modules/") and name in own and name != "__init__":
        found.append({"code": "shadowed-module", "line": 1, "column": 0, "message": name})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            compile(text, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            line, column = error.lineno or 0, error.offset or 0
            found.append(problem("python-syntax", line, column, error.msg))
        except (ValueError, UnicodeError) as error:
            found.append(problem("python-syntax", 0, 0, str(error)))
        except (RecursionError, MemoryError, OverflowError):
            found.append(problem("python-syntax", 0, 0, "is nested too deeply"))
    for one in told:
        found.append(problem("python-warning", one.lineno or 0, 0, str(one.message)))
    return {"problems": found[:50]}


def problem(code, line, column, message):
    return {"code": code, "line": max(0, line), "column": max(0, column), "message": message[:300]}


def described(path, text):
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {"doc": "", "functions": []}
    functions = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            functions.append(function(node, node.name))
        elif isinstance(node, ast.ClassDef):
            functions.append({"name": node.name, "line": node.lineno, "arguments": None, "doc": doc(node)})
            for inner in node.body:
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    functions.append(function(inner, node.name + "." + inner.name))
    return {"doc": doc(tree), "functions": functions[:2000]}


def doc(node):
    return (ast.get_docstring(node) or "")[:20000]


def function(node, name):
    return {"name": name, "line": node.lineno, "arguments": arguments(node.args), "doc": doc(node)}


def arguments(args):
    said = []
    positional = getattr(args, "posonlyargs", []) + args.args
    missing = len(positional) - len(args.defaults)
    for at, one in enumerate(positional):
        said.append(one.arg if at < missing else one.arg + "=" + value(args.defaults[at - missing]))
        if at + 1 == len(getattr(args, "posonlyargs", [])):
            said.append("/")
    if args.vararg:
        said.append("*" + args.vararg.arg)
    elif args.kwonlyargs:
        said.append("*")
    for one, default in zip(args.kwonlyargs, args.kw_defaults):
        said.append(one.arg if default is None else one.arg + "=" + value(default))
    if args.kwarg:
        said.append("**" + args.kwarg.arg)
    return ", ".join(said)


def value(node):
    try:
        said = ast.unparse(node)
    except (AttributeError, ValueError, RecursionError):
        return "..."
    return said if len(said) <= MAX_DEFAULT else "..."


def main():
    stdin, stdout = sys.stdin.buffer, sys.stdout
    work = {b"lint": problems, b"docs": described}[stdin.readline().strip()]
    for line in iter(stdin.readline, b""):
        path_bytes, text_bytes = (int(word) for word in line.split())
        path = stdin.read(path_bytes).decode("utf-8", "replace")
        print(json.dumps(work(path, stdin.read(text_bytes))), file=stdout, flush=True)


main()
