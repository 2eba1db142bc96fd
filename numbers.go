package main

import (
	"cmp"
	"math"
	"slices"
)

// The ground: small functions of numbers, which no step of the lesson is about.

// ln returns the natural logarithm of x > 0, the same on every machine: with
// x = m·2ⁿ and s = (m−1)/(m+1), ln x = n·ln 2 + 2·(s + s³/3 + s⁵/5 + …).
func ln(x float64) float64 {
	if x != x || math.IsInf(x, 1) {
		return x
	}
	m, n := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m, n = 2*m, n-1
	}
	s := (m - 1) / (m + 1)
	sum, power := 0.0, s
	for odd := 1.0; odd < 24; odd += 2 {
		sum += float64(power / odd)
		power *= float64(s * s)
	}
	return float64(float64(n)*math.Ln2) + float64(2*sum)
}

// power is xⁿ by squaring, the same on every machine.
func power(x float64, n int) float64 {
	result := 1.0
	for ; n > 0; n /= 2 {
		if n%2 == 1 {
			result = float64(result * x)
		}
		x = float64(x * x)
	}
	return result
}

// ratio is x/n, and 0 where n is 0.
func ratio(x float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return x / float64(n)
}

// finite tells whether x is a number that can be reckoned with: no NaN, not infinite.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// isShare tells whether x is from 0 to 1. NaN is not.
func isShare(x float64) bool { return x >= 0 && x <= 1 }

// descending are the indices of x, those of the greatest first, of equal ones in order.
func descending(x []float32) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(x[j], x[i]) })
	return order
}

// greatest are the indices of the n greatest of x, in the order of descending, but sooner.
func greatest(x []float32, n int) (best []int) {
	for range min(n, len(x)) {
		next := -1
		for i, v := range x {
			if (next < 0 || v > x[next]) && !slices.Contains(best, i) {
				next = i
			}
		}
		best = append(best, next)
	}
	return best
}

// argmax is the index of the greatest of x, the first of equal ones.
func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}
