import { ref } from 'vue'

// a counter with a button
export function Counter(props: { label: string }) {
  const count = ref<number>(0)
  vineStyle.scoped(`button { color: teal; }`)
  return vine`
    <button class="big" @click="count += 1">{{ label }} {{ count }}</button>
  `
}
