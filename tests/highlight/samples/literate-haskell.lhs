\section{Counting}
% the counter
We count the \emph{open} ports.

\begin{code}
-- number of ports above 1024
count :: [Int] -> Int
count ps = length [p | p <- ps, p > 1024]
\end{code}
