// server registry
interface Server { name: string; port?: number; }
export class Registry<T extends Server> {
  private items: T[] = [];
  find(name: string): T | undefined {
    return this.items.find((s) => s.name === name && s.port! > 1024);
  }
}
const label: string = `total ${3}`;
