import * as React from 'react';
// counter button
type Props = { start?: number };
export const Counter: React.FC<Props> = ({ start = 1 }) => {
  const [n, setN] = React.useState<number>(start);
  return <button className="btn" onClick={() => setN(n + 1)}>{n}</button>;
};
