"""What a record says to do: configurations scored without a model, where the speed goes, what to change."""
