import { onchainTable } from "ponder";

export const account = onchainTable("account", (t) => ({
    address: t.hex().primaryKey(),
    balance: t.bigint().notNull(),
}));

export const transferEvent = onchainTable("transfer_event", (t) => ({
    id: t.text().primaryKey(),
    value: t.bigint().notNull(),
    timestamp: t.integer().notNull(),
    from: t.hex().notNull(),
    to: t.hex().notNull(),
}));
