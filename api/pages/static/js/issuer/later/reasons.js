// Why a row or a file was not issued, in words, by the service's stable codes (ledger/intake/,
// ledger/export/, ledger/issue/handler.py). A test holds that every code of the intake has words.

import { t } from "../../core/i18n.js";

const ROWS = {
  "row.unreadable": () => t("The line cannot be read: it has too few or too many cells, or broken characters."),
  "field.missing": () => t("A required field is empty."),
  "cell.error": () => t("The cell holds a spreadsheet's error, such as #REF!, or a program's word for nothing."),
  "cell.not_calculated": () => t("The cell holds a formula whose result is not in the file. Export values."),
  "cell.digits_lost": () => t("A spreadsheet has rounded the number. Format the column as text and export it again."),
  "cell.shown_otherwise": () => t("The sheet shows another value than it stores. Format the column as text and export it again."),
  "cell.merged": () => t("The cell is part of a merged one. Unmerge it, and write the value in every row."),
  "cell.characters_lost": () => t("Characters were lost in a conversion, or only the sender's font knows them."),
  "identity_number.check_digit": () => t("The number is no identity number, and of no other document of a person: a digit was mistyped or lost, or it is several people's."),
  "credit_code.check_digit": () => t("The credit code is wrong: a character was mistyped or lost."),
  "date.invalid": () => t("The date does not exist, or the last day lies before the first."),
  "field.invalid": () => t("The value is too long, or none of those that may stand here."),
  "field.unknown": () => t("The type has no such field."),
  "field.derived": () => t("A yes/no field does not follow from the field behind it."),
  duplicate: () => t("There is a live certificate of this type already. To replace it, first name its successor under “Find a certificate”."),
  "certificate.exists": () => t("The identifier is taken. Please send the file again."),
};

/** Why one row was refused. */
export const rowReason = (code) => ROWS[code]?.() ?? t("It could not be issued ({code}).", { code });

const FILES = {
  "export.empty": () => t("The file is empty. Choose the export with its heading line and at least one row."),
  "export.unreadable": () => t("The file cannot be read: it is damaged, locked with a password, or of another kind. Save it as CSV (UTF-8) or as an Excel workbook (.xlsx) and send it again."),
  "export.header_unknown": () => t("The columns are not those of this type. Check the type, or name the columns as listed below."),
  "export.header_ambiguous": () => t("Two columns mean the same field. Rename or remove one of them and send the file again."),
  "export.too_large": () => t("The workbook holds more than can be read at once. Split it and send the parts one by one."),
  "export.hidden_column": () => t("A column that this type needs is hidden. Show it, or remove it, and send the file again."),
  "export.too_costly": () => t("Reading the file would take more memory or time than is allowed. Split it, or save it anew as CSV."),
  "issuer.type": () => t("Your department may not issue this type. Ask the operator."),
  "key.not_valid": () => t("The key that signs for your department was withdrawn. Ask the operator."),
  "body.too_large": () => t("The file is too large. Split it and send the parts one by one."),
  "import.unknown": () => t("The service was started again and no longer knows this import. Send the file again: what is issued already is not issued twice."),
  "import.digest": () => t("The file changed on its way. Please choose it and send it again."),
  "certificate.type": () => t("This type is not in the catalogue any more. Please load the page again."),
  internal: () => t("The service met an error of its own and stopped. Send the file again: what is issued already is not issued twice."),
};

/** Why a whole file was not taken, or its import broke off; undefined where another place has words. */
export const fileReason = (code) => FILES[code]?.();
