import React from 'react';
// a counter button
export default function Counter({ start = 1 }) {
  const [n, setN] = React.useState(start);
  return (
    <button className="btn" onClick={() => setN(n + 1)}>
      Clicked {n}
    </button>
  );
}
