// Keccak-256 as Ethereum has it: FIPS 202's permutation, with the padding from before the standard.
//
// A lane of 64 bits is two numbers of 32, low and high, because BigInt would take a hundred times
// as long for the thousand permutations that a bundle needs.

const RATE = 136;

/** Round constants by their shift register, low and high; lanes' places and rotations by their walk. */
const ROUNDS = new Int32Array(48);
const PLACES = new Uint8Array(24);
const SHIFTS = new Uint8Array(24);
for (let round = 0, register = 1; round < 24; round++) {
  for (let j = 0; j < 7; j++) {
    const bit = 2 ** j - 1;
    if (register & 1) ROUNDS[2 * round + (bit >> 5)] |= 1 << (bit & 31);
    register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
  }
}
for (let t = 0, x = 1, y = 0; t < 24; t++) {
  [x, y] = [y, (2 * x + 3 * y) % 5];
  PLACES[t] = x + 5 * y;
  SHIFTS[t] = (((t + 1) * (t + 2)) / 2) % 64;
}

const columns = new Int32Array(5);
const tops = new Int32Array(5);

function permute(low, high) {
  for (let round = 0; round < 24; round++) {
    for (let x = 0; x < 5; x++) {
      columns[x] = low[x] ^ low[x + 5] ^ low[x + 10] ^ low[x + 15] ^ low[x + 20];
      tops[x] = high[x] ^ high[x + 5] ^ high[x + 10] ^ high[x + 15] ^ high[x + 20];
    }
    for (let x = 0; x < 5; x++) {
      const left = (x + 4) % 5;
      const right = (x + 1) % 5;
      const dLow = columns[left] ^ ((columns[right] << 1) | (tops[right] >>> 31));
      const dHigh = tops[left] ^ ((tops[right] << 1) | (columns[right] >>> 31));
      for (let at = x; at < 25; at += 5) {
        low[at] ^= dLow;
        high[at] ^= dHigh;
      }
    }
    let heldLow = low[1];
    let heldHigh = high[1];
    for (let t = 0; t < 24; t++) {
      const at = PLACES[t];
      const rest = SHIFTS[t] & 31;
      const a = SHIFTS[t] < 32 ? heldLow : heldHigh;
      const b = SHIFTS[t] < 32 ? heldHigh : heldLow;
      heldLow = low[at];
      heldHigh = high[at];
      // A shift by 32 is none in this language.
      low[at] = rest ? (a << rest) | (b >>> (32 - rest)) : a;
      high[at] = rest ? (b << rest) | (a >>> (32 - rest)) : b;
    }
    mix(low);
    mix(high);
    low[0] ^= ROUNDS[2 * round];
    high[0] ^= ROUNDS[2 * round + 1];
  }
}

function mix(lanes) {
  for (let y = 0; y < 25; y += 5) {
    const first = lanes[y];
    const second = lanes[y + 1];
    lanes[y] ^= ~second & lanes[y + 2];
    lanes[y + 1] ^= ~lanes[y + 2] & lanes[y + 3];
    lanes[y + 2] ^= ~lanes[y + 3] & lanes[y + 4];
    lanes[y + 3] ^= ~lanes[y + 4] & first;
    lanes[y + 4] ^= ~first & second;
  }
}

/** @param {Uint8Array} data @returns {Uint8Array} 32 bytes */
export function keccak(data) {
  const padded = new Uint8Array((Math.floor(data.length / RATE) + 1) * RATE);
  padded.set(data);
  padded[data.length] = 1;
  padded[padded.length - 1] |= 0x80;
  const view = new DataView(padded.buffer);
  const [low, high] = [new Int32Array(25), new Int32Array(25)];
  for (let start = 0; start < padded.length; start += RATE) {
    for (let lane = 0; lane < RATE / 8; lane++) {
      low[lane] ^= view.getInt32(start + 8 * lane, true);
      high[lane] ^= view.getInt32(start + 8 * lane + 4, true);
    }
    permute(low, high);
  }
  const hash = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane++) {
    hash.setInt32(8 * lane, low[lane], true);
    hash.setInt32(8 * lane + 4, high[lane], true);
  }
  return new Uint8Array(hash.buffer);
}
