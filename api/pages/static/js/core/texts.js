// What people type, as a statement takes it: docs/formats.md, Texts.

/** What shows nothing comes with text pasted from elsewhere. */
const HIDDEN = /(?!\s)[\p{Cc}\p{Cf}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]|\ufeff/gu;

/** One line in NFC, each run of blanks (U+3000 too) one space, without what shows nothing. */
export const oneLine = (text) => text.normalize("NFC").replace(HIDDEN, "").replace(/\s+/g, " ").trim();
