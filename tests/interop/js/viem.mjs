// viem, as a wallet or a dashboard would use it. Prints one line of JSON.
import { readFileSync } from "node:fs";
import {
  createPublicClient,
  createWalletClient,
  decodeEventLog,
  defineChain,
  http,
  parseAbiItem,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

const { url, key, artefact, stranger } = JSON.parse(process.argv[2]);
const { abi, compiled } = JSON.parse(readFileSync(artefact, "utf8"));
const { bytecode } = compiled.cancun;
const transport = http(url);
const probe = createPublicClient({ transport });
const chain = defineChain({
  id: await probe.getChainId(),
  name: "certledger",
  nativeCurrency: { name: "none", symbol: "NONE", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const reader = createPublicClient({ chain, transport, pollingInterval: 20 });
const account = privateKeyToAccount(key);
const wallet = createWalletClient({ account, chain, transport });

const deployed = await reader.waitForTransactionReceipt({
  hash: await wallet.deployContract({ abi, bytecode }),
});
const address = deployed.contractAddress;
const commitment = "0x" + "42".repeat(32);
const digest = "0x" + "24".repeat(32);
const changes = [{ commitment, state: 2, digest }];
const call = { address, abi, functionName: "set_many", args: [changes] };
await reader.simulateContract({ ...call, account });
const receipt = await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(call) });
const status = await reader.readContract({
  address,
  abi,
  functionName: "status",
  args: [commitment],
});
const logs = await reader.getLogs({
  address,
  event: parseAbiItem("event StatusChanged(bytes32 indexed commitment, uint8 state, bytes32 digest)"),
  args: { commitment },
  fromBlock: 0n,
});
const decoded = decodeEventLog({ abi, data: receipt.logs[0].data, topics: receipt.logs[0].topics });
const proof = await reader.getProof({ address, storageKeys: ["0x" + "0".repeat(64)] });
const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [10, 50] });
const block = await reader.getBlock({ includeTransactions: true });
let reason = "";
try {
  await reader.simulateContract({ ...call, account: stranger });
} catch (error) {
  reason = error.walk((cause) => cause.reason !== undefined).reason;
}
let unknown = "";
try {
  const other = privateKeyToAccount("0x" + "07".repeat(32));
  await createWalletClient({ account: other, chain, transport }).sendTransaction({ to: stranger });
} catch (error) {
  unknown = error.details;
}
console.log(
  JSON.stringify({
    chainId: chain.id,
    block: Number(block.number),
    blockHash: block.hash,
    type: block.transactions[0].type,
    from: block.transactions[0].from,
    status: receipt.status,
    state: status.state,
    digest: status.digest,
    logs: logs.map((log) => log.args.state),
    event: decoded.eventName,
    proofNodes: proof.storageProof[0].proof.length,
    accountNodes: proof.accountProof.length,
    baseFees: history.baseFeePerGas.map(Number),
    reason,
    unknown,
    balance: String(await reader.getBalance({ address: account.address })),
    nonce: await reader.getTransactionCount({ address: account.address }),
    gasPrice: Number(await reader.getGasPrice()),
    code: (await reader.getCode({ address })).length > 2,
  }),
);
