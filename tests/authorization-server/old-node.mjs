// What the packages use and the Node.js of Debian 12 does not have yet.

import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;

URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};
