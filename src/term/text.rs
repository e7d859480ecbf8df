//! Text of history and screen together: selection and search.
