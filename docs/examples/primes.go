// Command primes tells the largest prime number below the one that it is given.
package main

import (
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
)

func below(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	n, ok := new(big.Int).SetString(string(body), 10)
	if !ok || n.Cmp(big.NewInt(3)) < 0 {
		http.Error(w, "a number above 2, please", http.StatusUnprocessableEntity)
		return
	}
	for one := big.NewInt(1); ; {
		if n.Sub(n, one).ProbablyPrime(20) {
			break
		}
		if r.Context().Err() != nil {
			log.Printf("call %s: nobody waits any more", r.Header.Get("X-Call-Id"))
			return
		}
	}
	fmt.Fprintln(w, n)
}

func main() {
	http.HandleFunc("/", below)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
