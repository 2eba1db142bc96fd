//go:build !amd64 || purego

package main

// assembly: there is none for this processor.
func assembly() []kernelTable { return nil }
