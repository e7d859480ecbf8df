% mean load documentation
\name{mean_load}
\title{Mean Load}
\usage{mean_load(x, digits = 2)}
\arguments{
  \item{x}{a \code{numeric} vector}
}
\examples{
mean_load(c(0.1, 0.5)) # "rounded"
}
