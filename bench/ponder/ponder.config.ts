// The app that bench/index.mjs measures: Ponder's own ERC-20 example, an event row and two balances.
import { createConfig } from "ponder";
import { abi } from "./abi";

const connectionString = process.env.BENCH_DATABASE;

export default createConfig({
    database: connectionString
        ? { kind: "postgres", connectionString }
        : { kind: "pglite", directory: process.env.BENCH_DIRECTORY },
    chains: { anvil: { id: 31337, rpc: process.env.BENCH_RPC } },
    contracts: {
        Token: { abi, chain: "anvil", address: process.env.BENCH_TOKEN as `0x${string}`, startBlock: 0 },
    },
});
