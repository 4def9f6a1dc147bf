"""Operations: what a unit does next, its steps, and the state that survives a crash between them."""
