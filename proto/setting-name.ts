/** `uploadBytes` as settings and answers spell it: `upload_bytes`. */
export function settingName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
