// What somebody brought that is neither an identifier nor a receipt nor evidence: what it is, and what
// to do with it. Looked at by this browser alone.

import { t } from "../../core/i18n.js";
import { recognise } from "../../core/recognise.js";

const EVIDENCE = () => t("Ask for the evidence file (JSON) that it was made of, and choose that one here.");

const CODE = () => [t("This looks like a code that is shown at a counter or a kiosk."), t("It is for looking up, there, and there is nothing to check of it. Keep it to yourself.")];

const TEXTS = {
  report: () => [t("This is the code of a printed report."), EVIDENCE()],
  grant: () => [t("This is a code that a holder shows at a counter."), t("It is for looking up, there, and there is nothing to check of it. Keep it to yourself.")],
  request: () => [t("This is the code with which a kiosk or counter asks."), t("Open “My certificates” on the phone, and scan it there.")],
  misread: CODE,
  run_together: CODE,
  newer: CODE,
  cut: (v) => [t("This is a piece of a code: {read} of 51 characters.", v), t("It is for looking up at a counter, and there is nothing to check of it.")],
  invitation: () => [t("This looks like a one-time code."), t("It is for signing in. Keep it to yourself.")],
  identity: () => [t("This is an identity number."), t("No certificate is found by it here. Type the certificate's identifier, which begins with 1.2.156.3005.2.")],
  payment: () => [t("This is a code for paying."), t("Nothing is paid here. Scan the code on the printed copy.")],
  website: () => [t("This is the address of a website."), t("Only what this service issued can be checked here. Scan the code on the printed copy, or type the certificate's identifier.")],
  statement: () => [t("This is a signed statement by itself."), t("It does not show that it was recorded. Choose the receipt that came with the answer, or ask for evidence of it.")],
  sd_jwt: () => [t("These are the signed fields of a certificate, as a lookup gives them."), t("Any SD-JWT verifier checks their signature. Whether the certificate still stands is told by its identifier; that the lookup is recorded, by its receipt.")],
  export: () => [t("These are lines that an auditor saved."), t("To check one of them here, choose its receipt alone, or ask for evidence of it.")],
  json: () => [t("This file has a form that is not known here."), t("It holds no receipt and no evidence. Choose the receipt that came with the answer, or an evidence file.")],
  broken_json: () => [t("This file is cut short or altered."), t("It holds no receipt that can be read. Get it again from where it came from.")],
};
const OTHER = () => [t("This is no identifier of a certificate."), t("Please compare it with the original, character by character. It begins with 1.2.156.3005.2.")];

const NOTHING = () => [t("There is no receipt, no evidence and no identifier in this file."), t("Choose the receipt that came with the answer, or an evidence file (JSON).")];

/** @returns {string[]} what it is, and what to do; `file`: it stood in one */
export function aboutText(text, { file = false } = {}) {
  const { kind, read } = recognise(text);
  return (TEXTS[kind] ?? (file ? NOTHING : OTHER))({ read });
}

const begins = (bytes, ...mark) => mark.every((byte, at) => bytes[at] === byte);

const FILES = [
  [(bytes) => begins(bytes, 0x25, 0x50, 0x44, 0x46), () => [t("This is a PDF, such as a report on paper."), t("The report itself proves nothing."), EVIDENCE()]],
  [(bytes) => begins(bytes, 0x50, 0x4b, 3, 4), () => [t("This is a packed file or a table, such as a spreadsheet."), t("Unpack it, and choose the receipt or the evidence file (JSON) in it.")]],
  [isPicture, () => [t("There is no code on this picture that this browser can read."), t("Point the phone's own camera at the printed code: it opens this page by itself. Or type the certificate's identifier that stands under the code.")]],
];

/** JPEG, PNG, GIF, WebP, BMP or HEIC. */
export function isPicture(bytes) {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 12)); // to a browser, windows-1252
  return begins(bytes, 0xff, 0xd8, 0xff) || begins(bytes, 0x89, 0x50, 0x4e, 0x47) || text.startsWith("GIF8")
    || text.startsWith("BM") || (text.startsWith("RIFF") && text.endsWith("WEBP")) || text.slice(4, 8) === "ftyp";
}

export const tooLarge = () => [t("This file is too large to be a receipt or evidence."), t("Choose the receipt that came with the answer, or an evidence file (JSON).")];

/** @returns {string[] | null} what a file is that is no text, and what to do; null for a text */
export function aboutFile(bytes) {
  const found = FILES.find(([is]) => is(bytes));
  if (found) return found[1]();
  return bytes.subarray(0, 1000).includes(0) ? [t("This is no text file."), t("Choose the receipt that came with the answer, or an evidence file (JSON).")] : null;
}

/** The code on a picture, or null where there is none or this browser reads none. */
export async function codeOn(file) {
  if (!("BarcodeDetector" in globalThis)) return null;
  try {
    const [found] = await new BarcodeDetector({ formats: ["qr_code"] }).detect(await createImageBitmap(file));
    return found?.rawValue ?? null;
  } catch {
    return null;
  }
}
