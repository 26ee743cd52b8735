// Prints the chat username and the token of a user: go run sample.go USER
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type userToken struct {
	Token     string `json:"token"`
	ExpiresAt int64  `json:"expires_at"`
	Username  string `json:"username"`
}

func tokenOf(server, user string) (userToken, error) {
	var answer userToken
	body, err := json.Marshal(map[string]string{"user": user})
	if err != nil {
		return answer, err
	}
	client := http.Client{Timeout: 20 * time.Second}
	response, err := client.Post(server+"/v1/tokens/user", "application/json", bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("the token server answers %s", response.Status)
	}
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

func main() {
	server := os.Getenv("TOKEN_SERVER")
	if server == "" {
		server = "http://127.0.0.1:7180"
	}
	answer, err := tokenOf(server, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Username, answer.Token)
}
