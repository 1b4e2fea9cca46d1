// What readings say, for whoever asks for them.

import { t } from "../../core/i18n.js";
import { kindName, learnSentences } from "../words.js";

const READINGS = {
  log: () => t("An auditor read in the log at large."),
  history: (v, line) => (line.certificate ? t("An auditor read the history of {certificate}.", v)
    : line.grant ? t("An auditor read the history of a grant.") : t("An auditor read the history of a person.")),
  entry: () => t("An auditor read one line in full."),
  evidence: () => t("Evidence without fields was taken."),
  fields: (v) => t("Evidence with fields of {certificate} was taken.", v),
};

learnSentences({
  reading: (v, line) => READINGS[line.state]?.(v, line) ?? kindName(line.kind),
});
