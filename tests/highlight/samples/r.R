# mean load
loads <- c(0.2, 0.5, NA)
mean_load <- function(x, digits = 2) {
  if (length(x) == 0) return(NULL)
  round(mean(x, na.rm = TRUE), digits)
}
cat("mean:", mean_load(loads), "\n")
