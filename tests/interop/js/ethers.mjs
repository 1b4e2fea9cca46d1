// ethers, as a wallet or a dashboard would use it. Prints one line of JSON.
import { readFileSync } from "node:fs";
import { Contract, ContractFactory, JsonRpcProvider, Wallet } from "ethers";

const { url, key, artefact, stranger } = JSON.parse(process.argv[2]);
const { abi, compiled } = JSON.parse(readFileSync(artefact, "utf8"));
const { bytecode } = compiled.cancun;
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
provider.pollingInterval = 20;
const wallet = new Wallet(key, provider);
const { chainId } = await provider.getNetwork();

const contract = await new ContractFactory(abi, bytecode, wallet).deploy();
await contract.waitForDeployment();
const address = await contract.getAddress();
const commitment = "0x" + "42".repeat(32);
const digest = "0x" + "24".repeat(32);
const receipt = await (await contract.set_many([[commitment, 2, digest]])).wait();
const legacy = await (
  await contract.set_many([["0x" + "43".repeat(32), 1, digest]], { type: 0, gasPrice: 0 })
).wait();
const status = await contract.status(commitment);
const logs = await contract.queryFilter(contract.filters.StatusChanged(commitment), 0);
const slot = "0x0";
const proof = await provider.send("eth_getProof", [address, [slot], "latest"]);
const history = await provider.send("eth_feeHistory", ["0x2", "latest", [10, 50]]);
const block = await provider.getBlock("latest", true);
const fees = await provider.getFeeData();
let reason = "";
try {
  await new Contract(address, abi, provider).set_many.staticCall(
    [[commitment, 1, digest]],
    { from: stranger },
  );
} catch (error) {
  reason = error.reason;
}
let unknown = "";
try {
  await new Wallet("0x" + "07".repeat(32), provider).sendTransaction({ to: stranger });
} catch (error) {
  unknown = error.error?.message ?? error.message;
}
console.log(
  JSON.stringify({
    chainId: Number(chainId),
    block: block.number,
    blockHash: block.hash,
    type: legacy.type === 0 ? "legacy" : String(legacy.type),
    from: block.prefetchedTransactions[0].from.toLowerCase(),
    status: receipt.status === 1 && legacy.status === 1 ? "success" : "reverted",
    state: Number(status.state),
    digest: status.digest,
    logs: logs.map((log) => Number(log.args.state)),
    event: receipt.logs[0].fragment.name,
    proofNodes: proof.storageProof[0].proof.length,
    accountNodes: proof.accountProof.length,
    baseFees: history.baseFeePerGas.map(Number),
    reason,
    unknown,
    balance: String(await provider.getBalance(wallet.address)),
    nonce: await provider.getTransactionCount(wallet.address),
    gasPrice: Number(fees.gasPrice),
    code: (await provider.getCode(address)).length > 2,
  }),
);
provider.destroy();
