"""Values as the JSON that Ethereum's RPC specifies (ethereum/execution-apis): pure."""

from typing import Any

from ledger.node.engine.block import Block, Log, Transaction, Withdrawal


def quantity(number: int) -> str:
    return hex(number)


def data(value: bytes) -> str:
    return "0x" + value.hex()


def block(value: Block, size: int, full: bool) -> dict[str, Any]:
    header = value.header
    return {
        "hash": data(value.hash),
        "number": hex(header.number),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": _bloom(header.bloom),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": "0x0",
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "withdrawals": [_withdrawal(item) for item in value.withdrawals],
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": data(header.parent_beacon_block_root),
        "size": hex(size),
        "uncles": [],
        "transactions": [
            transaction(item, value, index) if full else data(item.hash)
            for index, item in enumerate(value.transactions)
        ],
    }


def transaction(value: Transaction, mined: Block | None, index: int = 0) -> dict[str, Any]:
    base_fee = mined.header.base_fee_per_gas if mined else 0
    shape: dict[str, Any] = {
        "hash": data(value.hash),
        "type": hex(value.type),
        "chainId": hex(value.chain_id),
        "nonce": hex(value.nonce),
        "from": data(value.sender),
        "to": data(value.to) if value.to else None,
        "value": hex(value.value),
        "gas": hex(value.gas),
        "gasPrice": hex(value.effective_gas_price(base_fee)),
        "input": data(value.data),
        "v": hex(value.v),
        "r": hex(value.r),
        "s": hex(value.s),
        "blockHash": data(mined.hash) if mined else None,
        "blockNumber": hex(mined.number) if mined else None,
        "transactionIndex": hex(index) if mined else None,
    }
    if value.type >= 1:
        shape["yParity"] = hex(value.y_parity)
        shape["accessList"] = [
            {
                "address": data(address),
                "storageKeys": [data(slot.to_bytes(32, "big")) for slot in slots],
            }
            for address, slots in value.access_list
        ]
    if value.type >= 2:
        shape["maxFeePerGas"] = hex(value.max_fee_per_gas)
        shape["maxPriorityFeePerGas"] = hex(value.max_priority_fee_per_gas)
    return shape


def receipt(mined: Block, index: int) -> dict[str, Any]:
    value, sent = mined.receipts[index], mined.transactions[index]
    first_log = sum(len(earlier.logs) for earlier in mined.receipts[:index])
    return {
        "transactionHash": data(sent.hash),
        "transactionIndex": hex(index),
        "blockHash": data(mined.hash),
        "blockNumber": hex(mined.number),
        "from": data(sent.sender),
        "to": data(sent.to) if sent.to else None,
        "type": hex(value.type),
        "status": "0x1" if value.succeeded else "0x0",
        "gasUsed": hex(value.gas_used),
        "cumulativeGasUsed": hex(value.cumulative_gas_used),
        "effectiveGasPrice": hex(sent.effective_gas_price(mined.header.base_fee_per_gas)),
        "contractAddress": data(value.created) if value.created else None,
        "logsBloom": _bloom(value.bloom),
        "logs": [log(item, mined, index, first_log + i) for i, item in enumerate(value.logs)],
    }


def log(value: Log, mined: Block, index: int, log_index: int) -> dict[str, Any]:
    return {
        "address": data(value.address),
        "topics": [data(topic) for topic in value.topics],
        "data": data(value.data),
        "blockHash": data(mined.hash),
        "blockNumber": hex(mined.number),
        "blockTimestamp": hex(mined.header.timestamp),
        "transactionHash": data(mined.transactions[index].hash),
        "transactionIndex": hex(index),
        "logIndex": hex(log_index),
        "removed": False,
    }


def _bloom(value: int) -> str:
    return f"0x{value:0512x}"


def _withdrawal(value: Withdrawal) -> dict[str, Any]:
    return {
        "index": hex(value.index),
        "validatorIndex": "0x0",
        "address": data(value.address),
        "amount": hex(value.amount),
    }
