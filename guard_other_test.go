//go:build !linux && !darwin

package main

import "testing"

// guardedFloats returns n floats without a guard: there is none but on Unix, where
// guard_test.go has it.
func guardedFloats(_ *testing.T, n int) []float32 { return make([]float32, n) }
