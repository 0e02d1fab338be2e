// How far it is, for bench/index.mjs.
import { Hono } from "hono";
import { count } from "ponder";
import { db } from "ponder:api";
import schema from "ponder:schema";

const app = new Hono();

app.get("/count", async (c) => {
    const rows = await db.select({ n: count() }).from(schema.transferEvent);
    return c.json({ count: Number(rows[0].n) });
});

app.get("/balances", async (c) => {
    const rows = await db.select().from(schema.account);
    return c.json(rows.map((row) => [row.address, String(row.balance)]));
});

export default app;
