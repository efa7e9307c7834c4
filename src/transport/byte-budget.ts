/** Bounds how many bytes are held at once; who wants more than is left waits, in order. */
export class ByteBudget {
  #free: number;
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = [];

  /** @param bytes most that is held at once; nobody may ask for more */
  constructor(bytes: number) {
    this.#free = bytes;
  }

  /** Resolves when so many are free, and they are taken; with what gives them back. */
  async take(bytes: number): Promise<() => void> {
    if (this.#waiting.length > 0 || bytes > this.#free) {
      await new Promise<void>((go) => this.#waiting.push({ bytes, go }));
    } else this.#free -= bytes;
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.#give(bytes);
    };
  }

  #give(bytes: number): void {
    this.#free += bytes;
    for (let next = this.#waiting[0]; next !== undefined && next.bytes <= this.#free; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#free -= next.bytes;
      next.go();
    }
  }
}
