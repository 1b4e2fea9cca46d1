// How a check ends when it does not hold. Codes are those of audit/evidence/words.py, and fixed for ever.

/** Something does not hold; `seq` is the entry at which it was noticed. */
export class Failed extends Error {
  constructor(code, seq) {
    super(code);
    this.code = code;
    this.seq = seq;
  }
}

/** It cannot be told, for the reason that `code` names. */
export class Gap extends Error {
  constructor(code, told = {}) {
    super(code);
    this.code = code;
    this.told = told;
  }
}

/** A signed payload of a form that no honest ledger records. */
export class FormError extends Error {}
