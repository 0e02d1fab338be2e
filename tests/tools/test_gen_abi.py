#!/usr/bin/env python3
"""Tests of tools/gen-abi on a made-up contract: names, tables, what is refused, staleness.

Ends with "N passed, N failed".
"""

import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "gen-abi")


def load():
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("gen_abi", TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gen_abi", loader))
    loader.exec_module(module)
    return module


def param(kind, name="", **more):
    return dict({"type": kind, "name": name, "internalType": kind}, **more)


def struct(kind, name, struct_name, components, **more):
    internal = f"struct {struct_name}" + kind[len("tuple") :]
    return dict(
        {"type": kind, "name": name, "internalType": internal, "components": components}, **more
    )


POINT = [param("int32", "x"), param("uint8", "register"), param("bytes4", "id")]
SAMPLE = [
    {"type": "constructor", "inputs": [param("address", "owner"), param("uint256[2]", "pair")]},
    {
        "type": "function",
        "name": "setURL",
        "inputs": [param("string", "out"), param("bytes32[]", "keys"), param("bool", "")],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "area",
        "inputs": [struct("tuple", "p", "Geometry.Point", POINT)],
        "outputs": [param("uint128", ""), param("uint64[]", "sides")],
    },
    {
        "type": "function",
        "name": "area",
        "inputs": [struct("tuple[]", "ps", "Geometry.Point", POINT)],
        "outputs": [struct("tuple[3]", "corners", "Geometry.Point", POINT)],
    },
    {"type": "function", "name": "area", "inputs": [], "outputs": [param("bool", "")]},
    {
        "type": "event",
        "name": "Moved",
        "inputs": [
            param("string", "what", indexed=True),
            struct("tuple", "to", "Geometry.Point", POINT),
            param("address", "by", indexed=True),
        ],
    },
    {"type": "event", "name": "Stopped", "inputs": []},
    {"type": "error", "name": "TooFar", "inputs": [param("uint256", "limit")]},
    {"type": "fallback"},
]


class Tree:
    """A folder that looks like the project to the generator."""

    def __init__(self, abi, name="Sample20"):
        self.path = tempfile.mkdtemp(prefix="freehold-gen-abi-")
        os.makedirs(os.path.join(self.path, "contracts", "artifacts"))
        shutil.copy(os.path.join(ROOT, ".clang-format"), self.path)
        self.artifact = os.path.join(self.path, "contracts", "artifacts", name + ".json")
        self.write(abi, name)
        self.tool = load()
        self.tool.ROOT = self.path
        self.tool.CONTRACTS = [name]

    def write(self, abi, name="Sample20", bytecode="0x60806040"):
        with open(self.artifact, "w", encoding="utf-8") as file:
            json.dump({"contractName": name, "abi": abi, "bytecode": bytecode}, file)

    def run(self, *arguments):
        saved = sys.argv, sys.stdout, sys.stderr
        sys.argv = ["gen-abi", *arguments]
        with open(os.devnull, "w", encoding="utf-8") as sink:
            out = open(os.path.join(self.path, "err"), "w+", encoding="utf-8")
            sys.stdout, sys.stderr = sink, out
            try:
                self.tool.main()
                code = 0
            except SystemExit as stop:
                code = stop.code
            finally:
                sys.argv, sys.stdout, sys.stderr = saved
            out.seek(0)
            text = out.read()
            out.close()
        return code, text

    def read(self, name):
        with open(os.path.join(self.path, "src", "gen", name), encoding="utf-8") as file:
            return file.read()

    def compile(self):
        sources = [n for n in os.listdir(os.path.join(self.path, "src", "gen")) if n.endswith(".c")]
        command = ["gcc", "-std=c17", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion"]
        command += ["-Wshadow", "-Werror", "-D_GNU_SOURCE", "-include", "kernel/base/banned.h"]
        command += [f"-I{self.path}/src", f"-I{ROOT}/src"]
        command += [os.path.join(self.path, "src", "gen", n) for n in sources]
        return subprocess.run(command, capture_output=True, text=True)

    def remove(self):
        shutil.rmtree(self.path)


class GenAbi(unittest.TestCase):
    def tree(self, *arguments):
        tree = Tree(*arguments)
        self.addCleanup(tree.remove)
        return tree

    def test_keccak_of_published_inputs(self):
        tool = load()
        self.assertEqual(
            tool.keccak256(b"").hex(),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        )
        self.assertEqual(
            tool.keccak256(bytes([0xA3]) * 200).hex(),
            "3a57666b048777f2c953dc4456f45a2588e1cb6f2da760122d530ac2ce607d4a",
        )
        self.assertEqual(tool.keccak256(b"transfer(address,uint256)")[:4].hex(), "a9059cbb")

    def test_names(self):
        tool = load()
        for name, expected in {
            "AssetERC20": "asset_erc20",
            "tokenURI": "token_uri",
            "DEFAULT_ADMIN_ROLE": "default_admin_role",
            "eip712Domain": "eip712_domain",
            "_assetERC20Implementation": "asset_erc20_implementation",
            "getUupsImplementation": "get_uups_implementation",
            "L": "l",
        }.items():
            self.assertEqual(tool.snake(name), expected)

    def test_sample_compiles_and_is_then_fresh(self):
        tree = self.tree(SAMPLE)
        self.assertEqual(tree.run()[0], 0)
        done = tree.compile()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(tree.run("--check"), (0, ""))

    def test_sample_says_what_it_should(self):
        tree = self.tree(SAMPLE)
        tree.run()
        header, source, types = (
            " ".join(tree.read(n).split())
            for n in ("abi_sample20.h", "abi_sample20.c", "abi_types.h")
        )
        for text in (
            # overloads: plain where the parameters end first, else the first type that differs
            "enum err sample20_area_encode(struct arena *arena, struct slice *out,",
            "sample20_area_point_encode(struct arena *arena, const struct abi_point *p,",
            "sample20_area_point_list_encode(struct arena *arena, const struct abi_point *ps,"
            " size_t ps_count,",
            "struct sample20_area_point_list_result { struct abi_point corners[3]; };",
            "sample20_set_url_encode(struct arena *arena, struct slice out_, const struct hash *keys,"
            " size_t keys_count, bool arg2,",
            "struct sample20_moved { struct hash what_hash; struct abi_point to; struct address by;",
            "sample20_constructor_encode(struct arena *arena, const struct address *owner,"
            " const struct u256 pair[2],",
            "struct u256 value0; const uint64_t *sides; size_t sides_count;",
        ):
            self.assertIn(text, header)
        self.assertNotIn("sample20_stopped_decode", header)
        self.assertIn('.signature = "area((int32,uint8,bytes4))"', source)
        self.assertIn(".indexed_count = 2", source)
        self.assertIn("struct abi_point { struct u256 x; uint8_t register_; struct slice id; };", types)

    def test_output_does_not_depend_on_the_run(self):
        first, second = self.tree(SAMPLE), self.tree(SAMPLE)
        first.run()
        second.run()
        for name in os.listdir(os.path.join(first.path, "src", "gen")):
            self.assertEqual(first.read(name), second.read(name))

    def test_check_names_what_is_stale_and_what_is_left_over(self):
        tree = self.tree(SAMPLE)
        tree.run()
        tree.write(SAMPLE[:-2])
        leftover = os.path.join(tree.path, "src", "gen", "abi_gone.h")
        with open(leftover, "w", encoding="utf-8"):
            pass
        code, text = tree.run("--check")
        self.assertEqual(code, 1)
        self.assertIn("src/gen/abi_sample20.c: stale", text)
        self.assertIn("src/gen/abi_gone.h: stale", text)
        self.assertNotIn("abi_types.h", text)
        self.assertTrue(os.path.exists(leftover))
        tree.run()
        self.assertFalse(os.path.exists(leftover))
        self.assertEqual(tree.run("--check"), (0, ""))

    def test_what_cannot_be_expressed_is_refused(self):
        def function(*inputs):
            return [{"type": "function", "name": "f", "inputs": list(inputs), "outputs": []}]

        other = [param("bool", "flag")]
        for abi in (
            function(param("uint8[][]", "x")),
            function(param("bytes4[]", "x")),
            function(param("fixed128x18", "x")),
            function(param("tuple", "x", components=other, internalType="tuple")),
            function(struct("tuple", "x", "Type", other)),
            function(param("bool", "aB"), param("bool", "a_b")),
            function(struct("tuple", "x", "P", other), struct("tuple", "y", "P", POINT)),
            [{"type": "event", "name": "E", "inputs": [], "anonymous": True}],
        ):
            code, _ = self.tree(abi).run()
            self.assertIn("gen-abi: ", str(code))

    def test_unlinked_bytecode_is_refused(self):
        tree = self.tree(SAMPLE)
        tree.write(SAMPLE, bytecode="0x60__$library$__")
        self.assertIn("creation code", str(tree.run()[0]))


def main():
    result = unittest.TextTestRunner(verbosity=0).run(
        unittest.defaultTestLoader.loadTestsFromTestCase(GenAbi)
    )
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
