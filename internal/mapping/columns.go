package mapping

// ColumnsOf gives the model columns an expression reads.
func ColumnsOf(expression string) ([]string, error) {
	_, columns, _, err := parseExpression(expression)
	return columns, err
}
