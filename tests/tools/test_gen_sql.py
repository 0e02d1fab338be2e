#!/usr/bin/env python3
"""Tests of tools/gen-sql: what it refuses and how it says so, on trees of a few files.

What it generates is tested where it runs: tests/unit/kernel/store.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNEL = ["tools/gen-sql", "src/kernel/store/store.sql", "src/app/migrations/0001_kernel.sql"]
THINGS = """-- Things.

-- up
CREATE TABLE things (id @id, name @text NOT NULL, size @u256 NOT NULL, at @time);
-- down
DROP TABLE things;
"""


class GenSql(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="freehold-gen-sql-")
        self.addCleanup(shutil.rmtree, self.root)
        for path in KERNEL:
            with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                self.write(path, f.read())
        self.write("src/app/migrations/0002_things.sql", THINGS)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as f:
            return f.read()

    def run_tool(self, *flags):
        return subprocess.run(["python3", os.path.join(self.root, "tools/gen-sql"), *flags],
                              capture_output=True, text=True, check=False)

    def refuses(self, said, path=None, text=None):
        if path:
            self.write(path, text)
        self.run_tool()
        done = self.run_tool("--check")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(said, done.stderr)

    def refuses_statement(self, said, text):
        self.refuses("src/kernel/thing/thing.sql:" + said, "src/kernel/thing/thing.sql", text)

    def refuses_migration(self, said, text):
        path = "src/app/migrations/0003_more.sql"
        self.refuses(path + ":" + said, path, text)

    def accepts(self, path, text):
        self.write(path, text)
        done = self.run_tool()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.run_tool("--check").returncode, 0)

    def test_a_fresh_tree_passes_and_stays(self):
        self.assertEqual(self.run_tool().returncode, 0)
        again = self.run_tool()
        self.assertEqual((again.returncode, again.stdout), (0, ""))
        self.assertEqual(self.run_tool("--check").returncode, 0)

    def test_stale_files_are_named_and_not_touched(self):
        self.run_tool()
        self.write("src/kernel/store/store_sql.c", "old")
        done = self.run_tool("--check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("src/kernel/store/store_sql.c:1: is not what", done.stderr)
        self.assertEqual(self.read("src/kernel/store/store_sql.c"), "old")

    def test_output_without_a_source_is_removed(self):
        self.accepts("src/kernel/thing/thing.sql",
                     "-- statement: thing_count\n-- columns: n i64\n"
                     "SELECT count(*) AS n FROM things;\n")
        os.remove(os.path.join(self.root, "src/kernel/thing/thing.sql"))
        self.assertIn("thing_sql.h:1: its .sql file is gone", self.run_tool("--check").stderr)
        self.assertEqual(self.run_tool().returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(self.root, "src/kernel/thing/thing_sql.c")))
        self.assertEqual(self.run_tool("--check").returncode, 0)

    def test_both_dialects_are_written(self):
        self.accepts("src/kernel/thing/thing.sql",
                     "-- statement: thing_add\n-- params: name text, size u256, at time?\n"
                     "INSERT INTO things (name, size, at) -- a comment with :size\n"
                     "VALUES (:name, :size, :at);\n"
                     "-- statement: thing_list\n-- params: name text\n-- columns: id i64\n"
                     "SELECT id FROM things WHERE name = ':name' OR name = :name OR size > @u256(7)\n"
                     "-- postgres\nFOR UPDATE\n-- both\n;\n")
        text = self.read("src/kernel/thing/thing_sql.c")
        self.assertIn("VALUES (?1, ?2, ?3)", text)
        self.assertIn("VALUES ($1::text, $2::numeric, $3::timestamptz)", text)
        self.assertIn("name = ':name' OR name = ?1 OR size > '" + "7".zfill(78) + "'", text)
        self.assertIn("name = ':name' OR name = $1::text OR size > 7", text)
        self.assertEqual(text.count(".writes = true"), 2)  # FOR UPDATE needs one that may write
        self.assertNotIn("comment", text)

    def test_verbs_behind_with(self):
        self.accepts("src/kernel/thing/thing.sql",
                     "-- statement: thing_read\n-- columns: id i64\n"
                     "WITH x AS (SELECT id FROM things) SELECT id FROM x;\n"
                     "-- statement: thing_drop\n"
                     "WITH x AS (SELECT id FROM things) DELETE FROM things\n"
                     "WHERE id IN (SELECT id FROM x);\n")
        text = self.read("src/kernel/thing/thing_sql.c")
        self.assertRegex(text, r'\.name = "thing_read",\n +\.id = \d+,\n +\.writes = false')
        self.assertRegex(text, r'\.name = "thing_drop",\n +\.id = \d+,\n +\.writes = true')

    def test_statements_that_are_refused(self):
        cases = {
            "1: the name 'other_get' must begin with 'thing_'":
                "-- statement: other_get\n-- columns: id i64\nSELECT id FROM things;\n",
            "1: 'thing_get' does not prepare: no such column: naem":
                "-- statement: thing_get\n-- columns: naem text\nSELECT naem FROM things;\n",
            '1: \'thing_get\' does not prepare: no such column: lost':
                "-- statement: thing_get\n-- columns: id i64\n"
                'SELECT id FROM things WHERE name = "lost";\n',
            "1: 'thing_get' declares the columns (id) and returns (id, name)":
                "-- statement: thing_get\n-- columns: id i64\nSELECT id, name FROM things;\n",
            "1: 'thing_get' declares column 'at' as i64, but things.at is @time":
                "-- statement: thing_get\n-- columns: at i64\nSELECT at FROM things;\n",
            "1: ':name' is not in '-- params:'":
                "-- statement: thing_get\n-- columns: id i64\n"
                "SELECT id FROM things WHERE name = :name;\n",
            "1: parameter 'name' is not used (sqlite)":
                "-- statement: thing_get\n-- params: name text\n-- columns: id i64\n"
                "SELECT id FROM things;\n",
            "2: expected 'name type'":
                "-- statement: thing_get\n-- columns: id int\nSELECT id FROM things;\n",
            "1: 'thing_get' must be exactly one statement, found 2":
                "-- statement: thing_get\nDELETE FROM things; DELETE FROM things;\n",
            "1: 'thing_get' must be exactly one statement, found 0 (postgres)":
                "-- statement: thing_get\n-- sqlite\nDELETE FROM things;\n",
            "1: SQL before the first": "DELETE FROM things;\n",
            "1: unknown '@now' (bind the time of base/clock.h)":
                "-- statement: thing_get\nDELETE FROM things WHERE at < @now;\n",
            "3: statement 'thing_get' exists twice":
                "-- statement: thing_get\nDELETE FROM things;\n"
                "-- statement: thing_get\nDELETE FROM things;\n",
        }
        for said, text in cases.items():
            with self.subTest(said):
                self.refuses_statement(said, text)

    def test_migrations_that_are_refused(self):
        down = "-- down\nDROP TABLE more;\n"
        cases = {
            "2: near \"CRATE\"": "-- up\nCRATE TABLE more (id @id);\n" + down,
            "3: down does not restore the schema before it, leaves more_name":
                "-- up\nCREATE TABLE more (id @id); CREATE TABLE more_name (id @id);\n" + down,
            "1: no '-- down' section": "-- up\nCREATE TABLE more (id @id);\n",
            "1: write '-- down: impossible because <reason>'":
                "-- up\nCREATE TABLE more (id @id);\n-- down: no\n",
            "3: projection 'more' has no column 'key'":
                "-- up\nCREATE TABLE more (id @id);\n-- projection: more (key)\n" + down,
            "2: unknown datatype for more.id: \"BIGINT\"":
                "-- up\nCREATE TABLE more (id BIGINT);\n" + down,
            "1: unknown '@uint'": "-- up\nCREATE TABLE more (id @uint);\n" + down,
            "2: a deferred constraint":
                "-- up\nCREATE TABLE more (id @i64 REFERENCES things (id) DEFERRABLE);\n" + down,
            "1: SQL outside of": "CREATE TABLE more (id @id);\n-- up\n" + down,
        }
        for said, text in cases.items():
            with self.subTest(said):
                self.refuses_migration(said, text)

    def test_projections_follow_their_columns(self):
        self.write("src/app/migrations/0002_things.sql",
                   THINGS.replace("-- down", "-- projection: things (id)\n-- down"))
        alter = "-- up\nALTER TABLE things ADD COLUMN more @text;\n%s-- down\n" \
                "ALTER TABLE things DROP COLUMN more;\n"
        self.refuses_migration("1: changes the columns of projection 'things'", alter % "")
        self.accepts("src/app/migrations/0003_more.sql", alter % "-- projection: things (id)\n")
        self.refuses_migration("2: 'parts' refers to projection 'things' with an action",
                               "-- up\nCREATE TABLE parts (\n"
                               "thing @i64 REFERENCES things (id) ON DELETE CASCADE);\n"
                               "-- down\nDROP TABLE parts;\n")

    def test_versions_without_gaps(self):
        self.write("src/app/migrations/0004_late.sql", "-- up\n-- down\n")
        self.refuses("0004_late.sql:1: expected migration 0003")
        self.write("src/app/migrations/later.sql", "-- up\n-- down\n")
        self.refuses("later.sql:1: a migration is named NNNN_name.sql")

    def test_a_faulty_file_does_not_stop_the_others(self):
        self.write("src/kernel/bad/bad.sql", "-- statement: bad_get\nSELECT 1; SELECT 2;\n")
        self.write("src/kernel/good/good.sql", "-- statement: good_go\nDELETE FROM things;\n")
        done = self.run_tool()
        self.assertEqual(done.returncode, 1)
        self.assertIn("good_sql_go", self.read("src/kernel/good/good_sql.h"))


    # ---- many rows ----

    ADD = """-- statement: thing_add
-- params: name text, size u256
-- rows: %s
INSERT INTO things (name, size) VALUES (:name, :size)%s;
"""

    def test_a_load_becomes_a_copy(self):
        self.accepts("src/kernel/thing/thing.sql", self.ADD % ("load", ""))
        made = self.read("src/kernel/thing/thing_sql.c")
        self.assertIn('"COPY things (name, size) FROM STDIN (FORMAT binary)"', made)
        self.assertIn(".rows = STORE_ROWS_LOAD,", made)

    def test_a_load_copies_in_the_order_of_its_parameters(self):
        self.accepts("src/kernel/thing/thing.sql", """-- statement: thing_add
-- params: size u256, name text
-- rows: load
INSERT INTO things (name, size) VALUES (:name, :size);
""")
        self.assertIn('"COPY things (size, name) FROM', self.read("src/kernel/thing/thing_sql.c"))

    def test_a_load_is_a_plain_insert(self):
        for behind in (" ON CONFLICT DO NOTHING", " RETURNING id"):
            text = self.ADD % ("load", behind)
            if "RETURNING" in behind:
                text = text.replace("-- rows", "-- columns: id i64\n-- rows")
            self.refuses_statement("1: 'thing_add' is loaded, so it must be", text)

    def test_a_load_has_the_types_of_its_columns(self):
        self.refuses_statement("1: 'thing_add' loads text into things.size, which is @u256",
                               (self.ADD % ("load", "")).replace("size u256", "size text"))

    def test_a_set_reads_arrays(self):
        self.accepts("src/kernel/thing/thing.sql",
                     self.ADD % ("set", " ON CONFLICT (id) DO UPDATE SET size = excluded.size"))
        self.assertIn("SELECT r.p_name, r.p_size FROM unnest($1::text[], $2::numeric[]) AS r "
                      "(p_name, p_size) ON CONFLICT", self.read("src/kernel/thing/thing_sql.c"))

    def test_a_set_of_updates_and_deletes(self):
        self.accepts("src/kernel/thing/thing.sql", """-- statement: thing_grow
-- params: name text, size u256
-- rows: set
UPDATE things SET size = (SELECT :size WHERE true) WHERE name = :name;

-- statement: thing_drop
-- params: name text
-- rows: set
DELETE FROM things WHERE name = :name;
""")
        made = self.read("src/kernel/thing/thing_sql.c")
        self.assertIn("SET size = (SELECT r.p_size WHERE true) FROM unnest(", made)
        self.assertIn("DELETE FROM things USING unnest($1::text[]) AS r (p_name)", made)

    def test_a_set_of_another_form_says_where_its_rows_come_from(self):
        text = """-- statement: thing_copy
-- params: from text, to text
-- rows: set
INSERT INTO things (name, size) SELECT :to, o.size FROM %sthings o WHERE o.name = :from;
"""
        self.refuses_statement("1: 'thing_copy' is not INSERT ... VALUES", text % "")
        self.accepts("src/kernel/thing/thing.sql", text % "@rows, ")
        made = self.read("src/kernel/thing/thing_sql.c")
        self.assertIn("FROM (SELECT 1) AS r, things o", made)
        self.assertIn("FROM unnest($1::text[], $2::text[]) AS r (p_from, p_to), things o", made)

    def test_a_set_sees_its_rows_before_the_conflict_only(self):
        self.refuses_statement("1: 'thing_add' uses ':size' where a set cannot see its rows",
                               self.ADD % ("set", " ON CONFLICT (id) DO UPDATE SET size = :size"))

    def test_two_tuples_are_no_set(self):
        self.refuses_statement("1: 'thing_add' is not INSERT ... VALUES",
                               self.ADD % ("set", ", (:name, :size)"))

    def test_rows_are_load_or_set(self):
        self.refuses_statement("3: '-- rows:' is load or set, not 'many'", self.ADD % ("many", ""))

if __name__ == "__main__":
    unittest.main()
