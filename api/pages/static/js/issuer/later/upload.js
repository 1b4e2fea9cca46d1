// Sending an export: signs for exactly this file, and tells how much of it has left.
//
// fetch() cannot tell how far an upload is, so this is the page's one XMLHttpRequest. A lost
// connection is tried again with a new signature; rows that were issued are not issued twice.

import { Problem, Unreachable, pause } from "../../core/api.js";
import { base64url, concat, sha256 } from "../../core/bytes.js";
import { Kind } from "../../core/statements.js";

const TRIES = 5;

/** The file was changed, moved or locked since it was chosen. */
export class FileGone extends Error {}

/**
 * @param {import("../../core/api.js").Api} api
 * @param {{file: File, type: string, onProgress: (share: number) => void, onWait: () => void}} what
 * @returns {Promise<object>} the job, as POST /v1/imports answers
 */
export async function upload(api, { file, type, onProgress, onWait }) {
  const salt = crypto.getRandomValues(new Uint8Array(32));
  const commitment = base64url(await sha256(concat(salt, await sha256(await contentOf(file)))));
  for (let attempt = 1; ; attempt++) {
    const statement = await api.sign(Kind.import, { type, file_commitment: commitment });
    const form = new FormData();
    form.append("statement", statement);
    form.append("salt", base64url(salt));
    form.append("file", file);
    try {
      return await send(form, await api.authorization(), onProgress);
    } catch (error) {
      const again = error instanceof Unreachable || (error instanceof Problem && [502, 503, 504].includes(error.status));
      if (!again || attempt === TRIES) throw error;
      // A file that changed fails to be sent exactly like a connection that is lost.
      await contentOf(file.slice(0, 1));
      onWait();
      await pause(Math.min(4000, 500 * 2 ** attempt));
    }
  }
}

async function contentOf(blob) {
  try {
    return await blob.arrayBuffer();
  } catch {
    throw new FileGone();
  }
}

function send(form, authorization, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/imports");
    request.setRequestHeader("Authorization", authorization);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () => {
      const body = request.response ?? {};
      if (request.status >= 200 && request.status < 300) resolve(body);
      else reject(new Problem(request.status, body));
    };
    request.onerror = () => reject(new Unreachable("the upload was cut off"));
    request.send(form);
  });
}
